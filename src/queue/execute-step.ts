import { setTimeout as delay } from 'node:timers/promises';
import type { EventResult } from '@workflow/world';
import type { Pool } from 'pg';
import { closeModelCalls, type CallEnd } from '../postgres/model-calls.ts';
import { retryTransient } from '../postgres/transient.ts';
import { deliver, type Redelivery } from '../runtime/handlers.ts';
import type { RunLog } from '../runtime/run-log.ts';
import { runInScope, type Lease, type StepMessage, type StepScope } from '../runtime/scope.ts';
import { createStepStreams } from '../streams/step-streams.ts';
import { mayPass } from './may-pass.ts';
import { recordStepFailure } from './record-failure.ts';
import type { LeftBehindReport } from './report-left-behind.ts';
import type { Trace } from './report.ts';
import type { RunWatch } from './run-watch.ts';

/** What a step that has ended already waits for the ledger. */
const LEDGER_PATIENCE_MS = 1_000;

interface Circumstances {
  pool: Pool;
  deploymentId: string;
  /** Whether this process has nothing else to do. */
  alone: boolean;
  runWatch: RunWatch;
  leftBehind: LeftBehindReport;
  log(line: string): void;
  trace: Trace;
  /** Fires when the result is not wanted any more; by default that of the lease. */
  signal?: AbortSignal;
  /** Of the run's driver. */
  runLog?: RunLog;
  /** Called when its function has ended. */
  ended?: () => void;
  /** What `step_started` has returned already. */
  started?: EventResult | undefined;
}

/**
 * Executes a step under a lease: the run's, or that of its own job.
 * @returns after how many seconds it is to be executed again, if it is; never once its run has ended
 * @throws LeaseLostError when somebody else executes it; any other error may pass: deliver it again
 */
export async function executeStep(
  { queueName, payload }: StepMessage,
  lease: Lease,
  {
    pool,
    deploymentId,
    alone,
    runWatch,
    leftBehind,
    log,
    trace,
    signal = lease.signal,
    ended = () => {},
    runLog,
    started,
  }: Circumstances,
): Promise<Redelivery> {
  const { workflowRunId: runId, stepId } = payload;
  const stepName = queueName.split('//').at(-1)!;
  using run = runWatch.watch(runId);
  const over = new AbortController();
  const aborted = new AbortController();
  const scope: StepScope = {
    kind: 'step',
    runId,
    stepId,
    stepName,
    deploymentId,
    lease,
    alone,
    log: runLog,
    started,
    signal: aborted.signal,
    over: over.signal,
    interrupt(cause) {
      scope.interruptedBy ??= cause;
      abort('the database is away');
    },
    execution: 0,
    attempt: 0,
    beganAt: 0,
    ended() {
      scope.hasEnded = true;
      ended();
    },
    hasEnded: false,
    leftBehind: (kind, error) => leftBehind.ofStep(scope, kind, error),
    endingStreams: new Set(),
    streams: createStepStreams(aborted.signal),
    endedCalls: new Map(),
  };
  // In its scope, so that a listener of the signal that throws is known to be the step's.
  const abort = (reason: unknown) => runInScope(scope, () => aborted.abort(reason));
  const unwanted = AbortSignal.any([signal, run.signal]);
  const stop = () => abort(unwanted.reason);
  if (unwanted.aborted) stop();
  unwanted.addEventListener('abort', stop);
  const delivery = { attempt: lease.retryCount + 1, id: stepId };
  trace(`Step ${stepId}: executing ${stepName} of ${runId}`);
  try {
    const again = await runInScope(scope, () =>
      deliver('step', queueName, payload, delivery).catch(async (error: unknown) => {
        if (scope.signal.aborted || mayPass(error)) throw error;
        log(`Step ${stepId} of ${runId}: ${await recordStepFailure({ queueName, payload }, error)}`);
        return undefined;
      }),
    );
    if (!run.signal.aborted) return again;
  } catch (error) {
    scope.streams.discard();
    if (!run.signal.aborted) throw error;
  } finally {
    // A call that the step has not waited for, as the slower one of a race, goes on costing otherwise.
    abort('the step is over');
    over.abort();
    unwanted.removeEventListener('abort', stop);
    // Those, and of an execution that was aborted, all: no event takes them along.
    if (scope.endedCalls.size > 0) await closeInTime(pool, scope.endedCalls);
  }
  runLog?.doubt();
  trace(`Step ${stepId}: cut off (${run.signal.reason})`);
  return undefined;
}

async function closeInTime(pool: Pool, calls: ReadonlyMap<string, CallEnd>): Promise<void> {
  const written = retryTransient(() => closeModelCalls(pool, calls), LEDGER_PATIENCE_MS).catch(() => undefined);
  await Promise.race([written, delay(LEDGER_PATIENCE_MS, undefined, { ref: false })]);
}
