import type { Job } from 'pg-boss';
import type { DriverContext } from './drive-run.ts';
import type { GarbageError, Lease } from '../runtime/scope.ts';
import type { JobData } from './messages.ts';

/** Of what is kept of it: enough to see what it was. */
const MOST_CHARACTERS = 10_000;

/**
 * Takes a job out of its queue that nobody can carry out: a dead letter says what it was and what is wrong.
 * Whoever dies in between leaves both to the next one: the letter has a key.
 */
export async function refuseJob(
  job: Pick<Job<unknown>, 'id' | 'data'>,
  { message }: GarbageError,
  lease: Lease,
  { jobs, queues, log }: Pick<DriverContext, 'jobs' | 'queues' | 'log'>,
): Promise<void> {
  const reason = `A job of ${lease.queue} cannot be carried out: ${message}`;
  const text = JSON.stringify(job.data ?? null);
  const data = text.length > MOST_CHARACTERS ? text.slice(0, MOST_CHARACTERS).toWellFormed() : job.data;
  await jobs.sendDeadLetter(queues.dead, `job:${job.id}`, { ...partOf(data), reason });
  await jobs.complete(lease);
  log(`${reason}. Its dead letter is in the queue ${queues.dead}, under job:${job.id}.`);
}

function partOf(data: unknown): Pick<JobData, 'payload'> & Partial<JobData> {
  const { queueName, payload } = (data ?? {}) as Partial<JobData>;
  return typeof queueName === 'string' && payload !== undefined ? { queueName, payload } : { payload: data };
}
