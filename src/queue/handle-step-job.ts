import type { Job } from 'pg-boss';
import type { StepInvokePayload } from '@workflow/world';
import { executeStep } from './execute-step.ts';
import type { Jobs } from './jobs.ts';
import { wasLost, type Leases } from './leases.ts';
import { decodePayload, type JobData } from './messages.ts';
import type { Report, Trace } from './report.ts';

/** Executes a step that came through its queue. Never rejects: what fails is fetched again. */
export async function handleStepJob(
  job: Job<JobData>,
  queue: string,
  deploymentId: string,
  { jobs, leases, report, trace }: { jobs: Jobs; leases: Leases; report: Report; trace: Trace },
): Promise<void> {
  const lease = leases.hold(queue, job);
  const payload: StepInvokePayload = decodePayload(job.data.payload);
  // At once, while the execution is still being aborted: another worker need not wait for that.
  let handedBack: Promise<void> | undefined;
  const handBack = () => {
    if (!wasLost(lease)) handedBack = jobs.replace(lease, payload.stepId, job.data).catch(() => undefined);
  };
  lease.signal.addEventListener('abort', handBack);
  try {
    if (lease.signal.aborted) return handBack();
    const again = await executeStep({ queueName: job.data.queueName, payload }, lease, deploymentId, trace);
    if (again === undefined) await jobs.complete(lease);
    else await jobs.replace(lease, payload.stepId, job.data, again);
  } catch (error) {
    if (lease.signal.aborted) return;
    report(`Step ${payload.stepId}`, error);
    // If even that fails, the heartbeat lapses and the job is fetched again.
    await jobs
      .retry(lease, payload.stepId, job.data, error)
      .catch((cause: unknown) => report(`Step ${payload.stepId}`, cause));
  } finally {
    await handedBack;
    leases.release(lease);
  }
}
