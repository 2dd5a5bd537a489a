import { deliver, type Redelivery } from '../runtime/handlers.ts';
import { runInScope, type Lease, type StepMessage, type StepScope } from '../runtime/scope.ts';
import type { Trace } from './report.ts';
import type { RunWatch } from './run-watch.ts';

interface Circumstances {
  deploymentId: string;
  /** Whether this process has nothing else to do. */
  alone: boolean;
  runWatch: RunWatch;
  trace: Trace;
  /** Fires when the result is not wanted any more; by default that of the lease. */
  signal?: AbortSignal;
}

/**
 * Executes a step under a lease: the run's, or that of its own job.
 * @returns after how many seconds it is to be executed again, if it is; never once its run has ended
 * @throws LeaseLostError when somebody else executes it; any other error: deliver it again
 */
export async function executeStep(
  { queueName, payload }: StepMessage,
  lease: Lease,
  { deploymentId, alone, runWatch, trace, signal = lease.signal }: Circumstances,
): Promise<Redelivery> {
  using run = runWatch.watch(payload.workflowRunId);
  const scope: StepScope = {
    kind: 'step',
    runId: payload.workflowRunId,
    stepId: payload.stepId,
    deploymentId,
    lease,
    alone,
    signal: AbortSignal.any([signal, run.signal]),
    execution: 0,
    endingStreams: new Set(),
  };
  const delivery = { attempt: lease.retryCount + 1, id: payload.stepId };
  trace(`Step ${payload.stepId}: executing ${queueName.split('//').at(-1)} of ${payload.workflowRunId}`);
  try {
    const again = await runInScope(scope, () => deliver('step', queueName, payload, delivery));
    if (!run.signal.aborted) return again;
  } catch (error) {
    if (!run.signal.aborted) throw error;
  }
  trace(`Step ${payload.stepId}: cut off (${run.signal.reason})`);
  return undefined;
}
