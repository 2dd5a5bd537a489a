import { RunExpiredError } from '@workflow/errors';
import type { AnyEventRequest, CreateEventParams, EventResult, Storage } from '@workflow/world';
import type { Pool, PoolClient } from 'pg';
import { monotonicFactory } from 'ulid';
import { LeaseLostError, scopeOf, type Scope, type StepScope } from '../runtime/scope.ts';
import { endStream } from '../streams/chunks.ts';
import type { DatabaseClock } from './database-clock.ts';
import { createEventOrder } from './event-order.ts';
import { byDatabaseClock, refuseEarlyEnd, stampTimes } from './event-times.ts';
import { writeOnlyAnswer, type HookAnswerParams } from './hook-answers.ts';
import { joinTransaction } from './joined-pool.ts';
import { closeLostCalls, closeModelCalls, type CallEnd } from './model-calls.ts';
import { transaction } from './pool.ts';
import { lockLease, lockRun, recordEvents, seedRun, type RunSeed } from './run-progress.ts';
import { claimStartKey, type StartKeyParams } from './start-keys.ts';
import { chargeAttempt } from './step-progress.ts';
import { DATABASE_PATIENCE_MS, retryTransient } from './transient.ts';

/** Nothing that a replay could observe: no reason to wake the run. */
const UNOBSERVED = new Set(['step_started', 'step_retrying']);

/** What was executed has ended by itself. */
const RESULTS = new Set(['step_completed', 'step_failed', 'step_retrying', 'wait_completed']);

const ENDS_EXECUTION = new Set(['step_completed', 'step_failed', 'step_retrying']);
const ENDS_RUN = new Set(['run_completed', 'run_failed', 'run_cancelled']);

/** A replay would write these again; the next synchronous commit flushes them too. */
const RECREATED_BY_REPLAY = new Set(['run_started', 'step_created', 'step_started', 'wait_created']);

/** What a step may write only under its lease. A result is taken without, if there is none yet. */
const FENCED_IN_STEPS = new Set(['step_started', 'step_failed', 'step_retrying']);

export interface EventsOptions {
  pool: Pool;
  /** world-postgres's own, on a JoinedPool. */
  stock: Storage['events'];
  clock: DatabaseClock;
  jobPrefix: string;
  queueSchema: string;
  /** Called after the commit with each stream that ended in it. */
  onStreamEnd(name: string): Promise<void>;
  /** Called after the commit of an event that no queue message follows: a cancellation, or an answer of ours. */
  onUnfollowed(runId: string): Promise<void>;
}

type Params = CreateEventParams & StartKeyParams & HookAnswerParams;

/**
 * The events of world-postgres, each in one transaction with everything that belongs to it
 * (see "One transaction per event" in docs/ARCHITECTURE.md).
 * @throws LeaseLostError when written in the name of a lease that is gone
 * @throws StartKeyTakenError when the run was to begin under a key that another run has
 * @throws AnsweredBeforeError when it was to be the only answer to a hook that has one
 */
export function createEvents(options: EventsOptions): Storage['events'] {
  const { pool, clock } = options;
  const nextRunId = monotonicFactory();
  /** Results that wait for the database, by step. */
  const unrecorded = new Map<string, Promise<unknown>>();

  async function create(givenRunId: string | null, given: AnyEventRequest, params?: Params) {
    const event = byDatabaseClock(given, clock);
    const runId = givenRunId || `wrun_${nextRunId()}`;
    const scope = scopeOf(runId);
    if (scope?.kind === 'step' && scope.signal.aborted && FENCED_IN_STEPS.has(event.eventType)) {
      throw new LeaseLostError(
        `${event.eventType} refused: the execution was aborted (${String(scope.signal.reason)})`,
      );
    }
    const begin = RECREATED_BY_REPLAY.has(event.eventType) ? 'BEGIN; SET LOCAL synchronous_commit = off' : 'BEGIN';
    const ends = endingWith(scope, event);
    const write = (client: PoolClient) => writeEvent(client, options, runId, event, params, scope, ends);
    const attempt = () => transaction(pool, write, begin);
    // A result waits for the database as long as the process lives, even when the lease has run out: it was paid for.
    const giveUp = isFenced(scope, event) ? scope?.lease.signal : undefined;
    const isPaidFor = event.eventType === 'step_completed';
    // After an outage, the same step may come to this process anew before its result has got through.
    if (event.eventType === 'step_started') await unrecorded.get(event.correlationId)?.catch(() => undefined);
    const recording = retryTransient(attempt, isPaidFor ? Infinity : DATABASE_PATIENCE_MS, giveUp);
    if (isPaidFor) unrecorded.set(event.correlationId, recording);
    const result = await recording
      .catch((error: unknown) => {
        if (scope?.kind === 'replay' && isRunEnded(error)) scope.ended = true;
        throw error;
      })
      .finally(() => isPaidFor && unrecorded.delete(event.correlationId));
    noteInScope(scope, event, result);
    for (const call of ends.calls.keys()) stepOf(scope)?.endedCalls.delete(call);
    // Hints, after the fact: polls and the sweep are beneath them.
    for (const stream of ends.streams) await options.onStreamEnd(stream).catch(() => undefined);
    const isLast = event.eventType === 'run_cancelled' || params?.onlyAnswer;
    if (isLast) await options.onUnfollowed(runId).catch(() => undefined);
    return result;
  }

  return { ...options.stock, create };
}

async function writeEvent(
  client: PoolClient,
  { stock, queueSchema, jobPrefix }: EventsOptions,
  runId: string,
  event: AnyEventRequest,
  params: Params | undefined,
  scope: Scope | undefined,
  ends: EndingWith,
): Promise<EventResult> {
  const step = stepOf(scope);
  const key = params?.startKey;
  // First, so that whoever waits for the key holds nothing yet.
  if (key !== undefined) await claimStartKey(client, { jobPrefix, key, runId });
  const seed = seedOf(event);
  if (seed) await seedRun(client, runId, { jobPrefix, ...seed });
  const run = await lockRun(client, runId);
  // A late job of a run that was removed: world-postgres would write an event for it, with every delivery.
  if (!run && event.eventType === 'run_started') throw new RunExpiredError(`Cannot start ${runId}: it is gone`);
  if (scope && isFenced(scope, event) && !(await lockLease(client, queueSchema, scope.lease))) {
    throw new LeaseLostError(`${event.eventType} refused: the lease of ${runId} is gone`);
  }

  // Others may end a wait before its time, to skip it.
  if (scope?.kind === 'replay' && event.eventType === 'wait_completed')
    await refuseEarlyEnd(client, runId, event.correlationId);

  const order = createEventOrder(run?.lastEventId);
  const stockCreate = stock.create as (...args: unknown[]) => Promise<EventResult>;
  const stamp = run ? stampTimes(event, run.at) : (value: unknown) => value;
  const mapValue = (value: unknown) => stamp(order.renumber(value));
  const execute = async () => {
    const written = await joinTransaction(client, () => stockCreate(runId, event, params), mapValue);
    if (written.event) written.event.eventId = String(order.renumber(written.event.eventId));
    return written;
  };
  const write = () => {
    if (event.eventType === 'step_started')
      return chargeAttempt(client, { runId, stepId: event.correlationId, jobPrefix }, execute, step);
    if (event.eventType === 'hook_received' && params?.onlyAnswer)
      return writeOnlyAnswer(client, { runId, hookId: event.correlationId, tries: params.onlyAnswer }, execute);
    return execute();
  };
  const result = await write();

  for (const stream of ends.streams) await endStream(client, stream, runId);
  await closeModelCalls(client, ends.calls);
  if (ENDS_RUN.has(event.eventType)) await closeLostCalls(client, runId);
  if (run && order.last) {
    const written = {
      previous: run.lastEventId,
      ids: order.ids,
      wakes: wakes(event, result),
      isResult: RESULTS.has(event.eventType),
    };
    const movedTo = await recordEvents(client, runId, written);
    if (movedTo && result.event) result.event.createdAt = movedTo;
  }
  return result;
}

function isFenced(scope: Scope | undefined, event: AnyEventRequest): boolean {
  return scope?.kind === 'replay' || (scope?.kind === 'step' && FENCED_IN_STEPS.has(event.eventType));
}

/** The first event of a run, whichever it is, brings what its row needs. */
function seedOf(event: AnyEventRequest): Omit<RunSeed, 'jobPrefix'> | undefined {
  if (event.eventType !== 'run_created' && event.eventType !== 'run_started') return undefined;
  const { deploymentId, workflowName } = event.eventData ?? {};
  return deploymentId && workflowName ? { deploymentId, workflowName } : undefined;
}

function stepOf(scope: Scope | undefined): StepScope | undefined {
  return scope?.kind === 'step' ? scope : undefined;
}

/** What is written with an event of a step: as it was then, since calls may end while it is written. */
interface EndingWith {
  streams: ReadonlySet<string>;
  calls: ReadonlyMap<string, CallEnd>;
}

function endingWith(scope: Scope | undefined, { eventType }: AnyEventRequest): EndingWith {
  const step = ENDS_EXECUTION.has(eventType) ? stepOf(scope) : undefined;
  const endsStreams = eventType !== 'step_retrying';
  return { streams: new Set(endsStreams ? step?.endingStreams : []), calls: new Map(step?.endedCalls) };
}

function wakes(event: AnyEventRequest, result: EventResult): boolean {
  return result.event !== undefined && !UNOBSERVED.has(event.eventType);
}

function noteInScope(scope: Scope | undefined, event: AnyEventRequest, result: EventResult): void {
  if (scope?.kind !== 'replay') return;
  if (wakes(event, result)) scope.ownEvents += 1;
  if (event.eventType === 'step_created') scope.createdSteps.add(event.correlationId);
  if (event.eventType === 'run_completed' || event.eventType === 'run_failed') scope.ended = true;
}

function isRunEnded(error: unknown): boolean {
  return error instanceof Error && error.name === 'RunExpiredError';
}
