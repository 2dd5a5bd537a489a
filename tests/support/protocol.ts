import { Client } from 'pg';
import { onTestFinished } from 'vitest';
import type { CreateEventRequest, EventResult } from '@workflow/world';
import { startDatabaseClock } from '../../src/postgres/database-clock.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { readProgress } from '../../src/postgres/run-progress.ts';
import { createStorage } from '../../src/postgres/storage.ts';
import { createQueues, queueNames, startBoss, type QueueNames } from '../../src/queue/boss.ts';
import { createJobs, type Jobs } from '../../src/queue/jobs.ts';
import type { JobData } from '../../src/queue/messages.ts';
import { createReplayScope } from '../../src/queue/replay-run.ts';
import { runInScope, type Lease, type Scope } from '../../src/runtime/scope.ts';
import { createStepStreams } from '../../src/streams/step-streams.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';

const QUEUE_SCHEMA = 'workflow_queue';
const DEPLOYMENT = 'test';

/** One that drives a run, or executes a step, transaction by transaction, as a test has it. */
export interface Holder {
  lease: Lease;
  /** Writes an event as its replay would. */
  write(event: CreateEventRequest): Promise<EventResult>;
  /** Writes an event as the execution of a step would. */
  writeInStep(stepId: string, event: CreateEventRequest): Promise<EventResult>;
}

/** The real tables, queue and event log, and a run that nobody drives. */
export interface Protocol extends TestDatabase {
  runId: string;
  queues: QueueNames;
  jobs: Jobs;
  data: JobData;
  /** Takes the job that is due: the run's, or a step's. */
  fetch(queue: string): Promise<Holder | undefined>;
  /** As if its heartbeat had lapsed; the next fetch gets the job under a higher retry count. */
  lapse(holder: Holder): Promise<void>;
  /** Writes an event from outside, as a hook does. */
  write(event: CreateEventRequest): Promise<EventResult>;
  wakeSeq(): Promise<number>;
  /** Every job that is queued or active. */
  openJobs(): Promise<{ state: string; due: boolean }[]>;
}

export async function createProtocol(): Promise<Protocol> {
  const database = await createTestDatabase();
  const opened = new AsyncDisposableStack();
  onTestFinished(() => opened.disposeAsync());
  const pool = opened.adopt(createPool(database.url, 10), (it) => it.end());
  const config = { queueSchema: QUEUE_SCHEMA, worker: false, verbose: false, log: () => undefined };
  const boss = opened.adopt(await startBoss(pool, config), (it) => it.stop({ graceful: false }));
  const queues = queueNames('workflow_', DEPLOYMENT);
  await createQueues(boss, queues);
  const nothing = async () => undefined;
  const clock = await startDatabaseClock(pool);
  const storage = { pool, clock, jobPrefix: 'workflow_', queueSchema: QUEUE_SCHEMA, maxValueBytes: 1_000_000 };
  const { events } = createStorage({ ...storage, onStreamEnd: nothing, onUnfollowed: nothing }, opened);
  const jobs = createJobs(boss, pool, QUEUE_SCHEMA);

  const eventData = { deploymentId: DEPLOYMENT, workflowName: 'workflow//test', input: new Uint8Array() };
  const { run } = await events.create(null, { eventType: 'run_created', specVersion: 2, eventData });
  const runId = run!.runId;
  await events.create(runId, { eventType: 'run_started', specVersion: 2 });
  const data: JobData = { queueName: '__wkf_workflow_test', payload: { runId } };
  await jobs.wake(queues.flows, runId, data);
  const writeIn = (scope: Scope, event: CreateEventRequest) => runInScope(scope, () => events.create(runId, event));

  return {
    ...database,
    runId,
    queues,
    jobs,
    data,
    async fetch(queue) {
      const [job] = await boss.fetch<JobData>(queue);
      if (!job) return undefined;
      const { signal } = new AbortController();
      const lease: Lease = { queue, jobId: job.id, retryCount: job.retryCount, signal };
      const step = {
        deploymentId: DEPLOYMENT,
        alone: false,
        log: undefined,
        started: undefined,
        signal,
        over: signal,
        interrupt: () => undefined,
        hasEnded: false,
        execution: 0,
        attempt: 0,
        beganAt: 0,
        stepName: 'test',
        ended: () => undefined,
        leftBehind: () => undefined,
        endedCalls: new Map(),
        endingStreams: new Set<string>(),
        streams: createStepStreams(signal),
      };
      return {
        lease,
        write: (event) => writeIn(createReplayScope(runId, lease), event),
        writeInStep: (stepId, event) => writeIn({ kind: 'step', runId, stepId, lease, ...step }, event),
      };
    },
    async lapse({ lease }) {
      await database.query(`UPDATE workflow_queue.job SET state = 'retry', start_after = now() WHERE id = $1`, [
        lease.jobId,
      ]);
    },
    write: (event) => events.create(runId, event),
    wakeSeq: async () => (await readProgress(pool, runId)).wakeSeq,
    openJobs: () =>
      database.query(
        `SELECT state::text, start_after <= now() AS due FROM workflow_queue.job WHERE state < 'completed'`,
      ),
  };
}

/** A connection of its own, closed with its scope. */
export async function connect(url: string) {
  const client = new Client({ connectionString: url });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

/** Takes the run, as a driver does. */
export async function fetchRun(protocol: Protocol): Promise<Holder> {
  const holder = await protocol.fetch(protocol.queues.flows);
  if (!holder) throw new Error('The run has no job that is due.');
  return holder;
}

/** The events of a step, as the runtime writes them. */
export const stepEvents = {
  created: (stepId: string, inputBytes = 0): CreateEventRequest => ({
    eventType: 'step_created',
    specVersion: 2,
    correlationId: stepId,
    eventData: { stepName: 'step//test', workflowName: 'workflow//test', input: new Uint8Array(inputBytes) },
  }),
  started: (stepId: string): CreateEventRequest => ({
    eventType: 'step_started',
    specVersion: 2,
    correlationId: stepId,
  }),
  completed: (stepId: string): CreateEventRequest => ({
    eventType: 'step_completed',
    specVersion: 2,
    correlationId: stepId,
    eventData: { stepName: 'step//test', workflowName: 'workflow//test', result: new Uint8Array() },
  }),
};

export const hookEvents = {
  created: (): CreateEventRequest => ({
    eventType: 'hook_created',
    specVersion: 2,
    correlationId: 'hook_1',
    eventData: { token: 'token' },
  }),
  received: (): CreateEventRequest => ({
    eventType: 'hook_received',
    specVersion: 2,
    correlationId: 'hook_1',
    eventData: { token: 'token', payload: new Uint8Array() },
  }),
};
