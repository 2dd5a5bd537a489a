import type { WorkflowInvokePayload } from '@workflow/world';
import { deliver, type Redelivery } from '../runtime/handlers.ts';
import { runInScope, type Lease, type ReplayScope } from '../runtime/scope.ts';
import { decodePayload, type JobData } from './messages.ts';

export interface Replay extends ReplayScope {
  /** When the runtime wants the next replay: 0 at once, undefined when something happens. */
  delaySeconds: Redelivery;
}

/** One replay of the run, and everything that it asked for. */
export async function replayRun(
  runId: string,
  { queueName, payload }: JobData,
  lease: Lease,
  createdSteps: Set<string>,
): Promise<Replay> {
  const scope = createReplayScope(runId, lease, createdSteps);
  const message: WorkflowInvokePayload = decodePayload(payload);
  const delivery = { attempt: lease.retryCount + 1, id: lease.jobId };
  const delaySeconds = await runInScope(scope, () => deliver('workflow', queueName, message, delivery));
  return { ...scope, delaySeconds };
}

export function createReplayScope(runId: string, lease: Lease, createdSteps = new Set<string>()): ReplayScope {
  return {
    kind: 'replay',
    runId,
    lease,
    ownEvents: 0,
    createdSteps,
    requestedSteps: [],
    ended: false,
    again: undefined,
  };
}
