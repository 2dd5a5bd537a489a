import type { WorkflowInvokePayload } from '@workflow/world';
import { deliver, type Redelivery } from '../runtime/handlers.ts';
import { runInScope, type Lease, type ReplayScope } from '../runtime/scope.ts';
import { decodePayload, type JobData } from './messages.ts';

export interface Replay extends ReplayScope {
  /** When the runtime wants the next replay: 0 at once, undefined when something happens. */
  delaySeconds: Redelivery;
}

/** What a replay gets from its driver. */
export type ReplayOptions = Partial<
  Pick<ReplayScope, 'log' | 'alone' | 'deathsLimit' | 'createdSteps' | 'reserve' | 'giveBack'>
>;

/** One replay of the run, and everything that it asked for. */
export async function replayRun(
  runId: string,
  { queueName, payload }: JobData,
  lease: Lease,
  options: ReplayOptions,
): Promise<Replay> {
  const scope = createReplayScope(runId, lease, options);
  const message: WorkflowInvokePayload = decodePayload(payload);
  const delivery = { attempt: lease.retryCount + 1, id: lease.jobId };
  const broken = Promise.withResolvers<never>();
  scope.broken = broken.reject;
  const delivered = runInScope(scope, () => deliver('workflow', queueName, message, delivery));
  const delaySeconds = await Promise.race([delivered, broken.promise]);
  return { ...scope, delaySeconds };
}

export function createReplayScope(runId: string, lease: Lease, options: ReplayOptions = {}): ReplayScope {
  return {
    kind: 'replay',
    runId,
    lease,
    log: undefined,
    alone: false,
    reserve: () => 0,
    giveBack: () => undefined,
    startedSteps: new Map(),
    ownEvents: 0,
    createdSteps: new Set(),
    requestedSteps: [],
    ended: false,
    completed: false,
    again: undefined,
    unseen: new Map(),
    broken: () => undefined,
    ...options,
  };
}
