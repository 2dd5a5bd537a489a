import type { Job } from 'pg-boss';
import { HealthCheckPayloadSchema, type WorkflowInvokePayload } from '@workflow/world';
import { deliver } from '../runtime/handlers.ts';
import { driveRun, type DriverContext } from './drive-run.ts';
import type { Leases } from './leases.ts';
import type { JobData } from './messages.ts';

/** Drives the run that a job stands for. Never rejects: what fails is fetched again. */
export async function handleRunJob(
  job: Job<JobData>,
  queue: string,
  context: DriverContext,
  leases: Leases,
): Promise<void> {
  const lease = leases.hold(queue, job);
  let runId = 'unknown';
  try {
    if (HealthCheckPayloadSchema.safeParse(job.data.payload).success) {
      await deliver('workflow', job.data.queueName, job.data.payload, { attempt: 1, id: job.id });
      await context.jobs.complete(lease);
      return;
    }
    ({ runId } = job.data.payload as WorkflowInvokePayload);
    context.trace(`Run ${runId}: taken (delivery ${job.retryCount + 1})`);
    await driveRun(runId, job.data, lease, context);
  } catch (error) {
    if (lease.signal.aborted) return;
    context.report(`Run ${runId}`, error);
    // If even that fails, the heartbeat lapses and the job is fetched again.
    await context.jobs
      .retry(lease, runId, job.data, error)
      .catch((cause: unknown) => context.report(`Run ${runId}`, cause));
  } finally {
    context.trace(`Run ${runId}: given back`);
    leases.release(lease);
  }
}
