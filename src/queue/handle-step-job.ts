import type { Job } from 'pg-boss';
import type { StepInvokePayload } from '@workflow/world';
import { MustRunAloneError } from '../runtime/scope.ts';
import type { DriverContext } from './drive-run.ts';
import { executeStep } from './execute-step.ts';
import { wasLost, type Leases } from './leases.ts';
import { decodePayload, type JobData } from './messages.ts';
import { workflowQueueName } from './world-queue.ts';

/** Executes a step that came through its queue. Never rejects: what fails is fetched again. */
export async function handleStepJob(job: Job<JobData>, context: DriverContext, leases: Leases): Promise<void> {
  const { jobs, queues, report } = context;
  const lease = leases.hold(queues.steps, job);
  const payload: StepInvokePayload = decodePayload(job.data.payload);
  // At once, while the execution is still being aborted: another worker need not wait for that.
  let handedBack: Promise<void> | undefined;
  const handBack = () => {
    if (!wasLost(lease)) handedBack = jobs.handBack(lease, payload.stepId, job.data).catch(() => undefined);
  };
  lease.signal.addEventListener('abort', handBack);
  const settleFailed = async (error: unknown) => {
    if (!(error instanceof MustRunAloneError)) return jobs.retry(lease, payload.stepId, job.data, error);
    await jobs.complete(lease);
    const { workflowName, workflowRunId: runId } = payload;
    return jobs.wake(queues.flows, runId, { queueName: workflowQueueName(workflowName), payload: { runId } });
  };
  try {
    if (lease.signal.aborted) return handBack();
    const step = { queueName: job.data.queueName, payload };
    const again = await executeStep(step, lease, context);
    if (again === undefined) await jobs.complete(lease);
    else await jobs.replace(lease, payload.stepId, job.data, again);
  } catch (error) {
    if (lease.signal.aborted) return;
    report(`Step ${payload.stepId}`, error);
    // If even that fails, the job has no lock any more, and is fetched again.
    await settleFailed(error).catch((cause: unknown) => report(`Step ${payload.stepId}`, cause));
  } finally {
    await handedBack;
    if (wasLost(lease)) await jobs.giveBack(lease, payload.stepId, job.data).catch(() => undefined);
    leases.release(lease);
  }
}
