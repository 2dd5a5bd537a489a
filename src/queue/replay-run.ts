import type { WorkflowInvokePayload } from '@workflow/world';
import { deliver, type Redelivery } from '../runtime/handlers.ts';
import { runInScope, type Lease, type ReplayScope } from '../runtime/scope.ts';
import { mayPass } from './may-pass.ts';
import { decodePayload, type JobData } from './messages.ts';
import { recordRunFailure } from './record-failure.ts';

export interface Replay extends ReplayScope {
  /** When the runtime wants the next replay: 0 at once, undefined when something happens. */
  delaySeconds: Redelivery;
  /** Why it could not be finished, and has failed the run. */
  failure: string | undefined;
}

/** What a replay gets from its driver. */
export type ReplayOptions = Partial<
  Pick<ReplayScope, 'log' | 'alone' | 'deathsLimit' | 'createdSteps' | 'reserve' | 'giveBack'>
>;

/**
 * One replay of the run, and everything that it asked for. What the next replay would meet again fails the run.
 * @throws what may pass
 */
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
  const failure = { reason: undefined as string | undefined };
  const delivered = runInScope(scope, () =>
    deliver('workflow', queueName, message, delivery).catch(async (error: unknown) => {
      if (lease.signal.aborted || mayPass(error)) throw error;
      failure.reason = await recordRunFailure(runId, error);
      return undefined;
    }),
  );
  const delaySeconds = await Promise.race([delivered, broken.promise]);
  return { ...scope, delaySeconds, failure: failure.reason };
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
