import type { Job } from 'pg-boss';
import type { StepInvokePayload } from '@workflow/world';
import { GarbageError, MustRunAloneError, type Lease } from '../runtime/scope.ts';
import type { DriverContext } from './drive-run.ts';
import { executeStep } from './execute-step.ts';
import { wasLost, type Leases } from './leases.ts';
import { decodePayload, parseJob, type JobData } from './messages.ts';
import { refuseJob } from './refuse-job.ts';
import { workflowQueueName } from './world-queue.ts';

/** Executes a step that came through its queue. Never rejects: what fails is fetched again, and what is no step is refused. */
export async function handleStepJob(job: Job<unknown>, context: DriverContext, leases: Leases): Promise<void> {
  const lease = leases.hold(context.queues.steps, job);
  try {
    await execute(parseJob('steps', job), lease, context);
  } catch (error) {
    if (!(error instanceof GarbageError) || lease.signal.aborted) return;
    await refuseJob(job, error, lease, context).catch((cause: unknown) => context.report(`Job ${job.id}`, cause));
  } finally {
    leases.release(lease);
  }
}

/** @throws GarbageError; everything else is settled */
async function execute(data: JobData, lease: Lease, context: DriverContext): Promise<void> {
  const { jobs, queues, report } = context;
  const payload: StepInvokePayload = decodePayload(data.payload);
  // At once, while the execution is still being aborted: another worker need not wait for that.
  let handedBack: Promise<void> | undefined;
  const handBack = () => {
    if (!wasLost(lease)) handedBack = jobs.handBack(lease, payload.stepId, data).catch(() => undefined);
  };
  lease.signal.addEventListener('abort', handBack);
  const settleFailed = async (error: unknown) => {
    if (!(error instanceof MustRunAloneError)) return jobs.retry(lease, payload.stepId, data, error);
    await jobs.complete(lease);
    const { workflowName, workflowRunId: runId } = payload;
    return jobs.wake(queues.flows, runId, { queueName: workflowQueueName(workflowName), payload: { runId } });
  };
  try {
    if (lease.signal.aborted) return handBack();
    const step = { queueName: data.queueName, payload };
    const again = await executeStep(step, lease, context);
    if (again === undefined) await jobs.complete(lease);
    else await jobs.replace(lease, payload.stepId, data, again);
  } catch (error) {
    if (error instanceof GarbageError) throw error;
    if (lease.signal.aborted) return;
    report(`Step ${payload.stepId}`, error);
    // If even that fails, the job has no lock any more, and is fetched again.
    await settleFailed(error).catch((cause: unknown) => report(`Step ${payload.stepId}`, cause));
  } finally {
    await handedBack;
    if (wasLost(lease)) await jobs.giveBack(lease, payload.stepId, data).catch(() => undefined);
  }
}
