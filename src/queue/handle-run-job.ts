import type { Job } from 'pg-boss';
import type { WorkflowInvokePayload } from '@workflow/world';
import { DEAD_AFTER_DEATHS, mustBeAlone } from '../postgres/deaths.ts';
import { deliver } from '../runtime/handlers.ts';
import { createRunLog } from '../runtime/run-log.ts';
import { GarbageError } from '../runtime/scope.ts';
import { driveRun, type DriverContext } from './drive-run.ts';
import { failPoisoned } from './fail-poisoned.ts';
import type { Leases } from './leases.ts';
import { parseJob, runIdOf, type JobData } from './messages.ts';
import { openRun } from './open-run.ts';
import { refuseJob } from './refuse-job.ts';

/** A run's job, and what another process needs to take the lease over. */
export interface HandedOver {
  deploymentId: string;
  job: Pick<Job<unknown>, 'id' | 'data' | 'retryCount' | 'groupId'>;
  /** Called when the other process holds the lease. */
  letGo(): void;
}

/**
 * Drives a run in a process of its own, and resolves when that has ended, however it did.
 * @returns whether it took the lease over; it does not if it is stopped before
 * @throws Error if it could not be started
 */
export type DriveAlone = (handedOver: HandedOver, stopping: AbortSignal) => Promise<boolean>;

/**
 * Drives the run that a job stands for. Never rejects: what fails is fetched again, and what is no run is refused.
 * @param driveAlone for a run that workers died of; undefined in the process that has nothing but that run
 */
export async function handleRunJob(
  job: HandedOver['job'],
  context: DriverContext,
  leases: Leases,
  driveAlone?: (handedOver: HandedOver) => Promise<boolean>,
): Promise<void> {
  const lease = leases.hold(context.queues.flows, job);
  let data: JobData | undefined;
  let runId = 'unknown';
  try {
    data = parseJob('flows', job);
    if (runIdOf(data) === undefined) {
      await deliver('workflow', data.queueName, data.payload, { attempt: 1, id: job.id });
      await context.jobs.complete(lease);
      return;
    }
    ({ runId } = data.payload as WorkflowInvokePayload);
    context.trace(`Run ${runId}: taken (delivery ${job.retryCount + 1})`);
    const log = createRunLog();
    const deaths = await openRun(runId, lease, log, context);
    if (deaths >= DEAD_AFTER_DEATHS) {
      await failPoisoned(runId, data, lease, context);
      // It has ended; nothing is left to be executed.
      await driveRun(runId, data, lease, { ...context, alone: true });
    } else if (mustBeAlone(deaths) && driveAlone && !lease.signal.aborted) {
      context.trace(`Run ${runId}: ${deaths} workers died of it; in a process of its own`);
      const letGo = () => leases.release(lease);
      const tookOver = await driveAlone({ deploymentId: context.deploymentId, job, letGo });
      if (!tookOver) await context.jobs.handBack(lease, runId, data);
    } else {
      await driveRun(runId, data, lease, context, log);
    }
  } catch (error) {
    if (lease.signal.aborted) return;
    const settleFailed = () => {
      if (error instanceof GarbageError || !data) return refuseJob(job, error as GarbageError, lease, context);
      context.report(`Run ${runId}`, error);
      return context.jobs.retry(lease, runId, data, error);
    };
    // If even that fails, the job has no lock any more, and is fetched again.
    await settleFailed().catch((cause: unknown) => context.report(`Run ${runId}`, cause));
  } finally {
    context.trace(`Run ${runId}: given back`);
    leases.release(lease);
  }
}
