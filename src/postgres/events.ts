import type { AnyEventRequest, CreateEventParams, EventResult, Storage, WorkflowRun } from '@workflow/world';
import { RunExpiredError } from '@workflow/errors';
import type { Pool, PoolClient } from 'pg';
import { monotonicFactory } from 'ulid';
import { scopeOf, type Scope, type StepScope } from '../runtime/scope.ts';
import { endStream } from '../streams/chunks.ts';
import { drained, refusalOf } from '../streams/step-streams.ts';
import type { DatabaseClock } from './database-clock.ts';
import { byDatabaseClock } from './event-times.ts';
import { answerFromMemory, noteEnd, noteInScope } from './event-memory.ts';
import type { EventContext } from './frequent-events.ts';
import type { HookAnswerParams } from './hook-answers.ts';
import { closeModelCalls, type CallEnd } from './model-calls.ts';
import { transaction } from './pool.ts';
import { patiently } from './patiently.ts';
import { asWorldError, saysRunEnded } from './refusals.ts';
import { orFailedStep } from './unstorable-steps.ts';
import { assertStorable, withStorableTexts } from './storable.ts';
import { claimStartKey, type StartKeyParams } from './start-keys.ts';
import { DATABASE_PATIENCE_MS, retryTransient } from './transient.ts';
import { atOnce, createFrequentWriter, type Write } from './write-frequent.ts';
import type { AfterCommit } from './write-steps.ts';
import { writeStock } from './write-stock.ts';

const ENDS_EXECUTION = new Set(['step_completed', 'step_failed', 'step_retrying']);

/** For what a replay would write again; the next synchronous commit flushes it too. */
const BEGIN_UNFLUSHED = 'BEGIN; SET LOCAL synchronous_commit = off';

/** What a step may write only under its lease. A result is taken without, if there is none yet. */
const FENCED_IN_STEPS = new Set(['step_started', 'step_failed', 'step_retrying']);

export interface EventsOptions {
  pool: Pool;
  /** world-postgres's own, on a JoinedPool. */
  stock: Storage['events'];
  readRun(runId: string): Promise<WorkflowRun>;
  clock: DatabaseClock;
  jobPrefix: string;
  queueSchema: string;
  maxValueBytes: number;
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
 * @throws MustRunAloneError for a step that is to begin, when workers died of its run, and this process has other work
 * @throws StartKeyTakenError when the run was to begin under a key that another run has
 * @throws AnsweredBeforeError when it was to be the only answer to a hook that has one
 */
export function createEvents(options: EventsOptions): Storage['events'] {
  const { pool, clock, stock, jobPrefix, queueSchema, maxValueBytes } = options;
  const nextRunId = monotonicFactory();
  const frequent = createFrequentWriter(options);
  /** Results that wait for the database, by step. */
  const unrecorded = new Map<string, Promise<unknown>>();

  async function create(givenRunId: string | null, given: AnyEventRequest, params?: Params) {
    assertStorable(given, maxValueBytes);
    const event = withStorableTexts(byDatabaseClock(given, clock));
    const runId = givenRunId || `wrun_${nextRunId()}`;
    const scope = scopeOf(runId);
    if (scope?.kind === 'step' && scope.signal.aborted && FENCED_IN_STEPS.has(event.eventType)) {
      throw refusalOf(scope, event);
    }
    const known = answerFromMemory(scope, event);
    if (known) return known;
    const step = ENDS_EXECUTION.has(event.eventType) ? stepOf(scope) : undefined;
    step?.ended();
    const isPaidFor = event.eventType === 'step_completed';
    // After an outage, the same step may come to this process anew before its result has got through.
    if (event.eventType === 'step_started') await unrecorded.get(event.correlationId)?.catch(() => undefined);
    const recording = record(runId, step?.streams.opened ? drained(step, event) : event, params, scope);
    if (isPaidFor) unrecorded.set(event.correlationId, recording);
    const { result, ends } = await recording
      .catch((cause: unknown) => {
        const error = asWorldError(cause, runId, event);
        scope?.log?.doubt();
        if (saysRunEnded(cause, event) || RunExpiredError.is(error)) noteEnd(scope);
        throw error;
      })
      .finally(() => isPaidFor && unrecorded.delete(event.correlationId));
    for (const call of ends.calls.keys()) step?.endedCalls.delete(call);
    // Hints, after the fact: polls and the sweep are beneath them.
    for (const stream of ends.streams.keys()) await options.onStreamEnd(stream).catch(() => undefined);
    const isLast = event.eventType === 'run_cancelled' || params?.onlyAnswer;
    if (isLast) await options.onUnfollowed(runId).catch(() => undefined);
    return result;
  }

  /** @param given a promise where what the step has written must be committed first */
  async function record(
    runId: string,
    given: AnyEventRequest | Promise<AnyEventRequest>,
    params: Params | undefined,
    scope: Scope | undefined,
  ) {
    const event = given instanceof Promise ? await given : given;
    const ends = endingWith(scope, event);
    const lease = isFenced(scope, event) ? scope?.lease : undefined;
    const write = () => writeEvent(runId, event, params, scope, ends);
    // A result waits for the database as long as the process lives, even when the lease has run out: it was paid for.
    const isPaidFor = event.eventType === 'step_completed';
    const result = await (isPaidFor
      ? retryTransient(write, Infinity)
      : lease
        ? retryTransient(write, DATABASE_PATIENCE_MS, lease.signal)
        : patiently(write));
    noteInScope(scope, event, result);
    return { result, ends };
  }

  /** Once: with its frequent events, one statement is one transaction; the others are written by world-postgres. */
  async function writeEvent(
    runId: string,
    event: AnyEventRequest,
    params: Params | undefined,
    scope: Scope | undefined,
    ends: EndingWith,
  ): Promise<EventResult> {
    const lease = isFenced(scope, event) ? scope?.lease : undefined;
    const alone = scope?.alone ?? false;
    const context: EventContext = { runId, specVersion: event.specVersion, queueSchema, lease, alone };
    const key = params?.startKey;
    const isMore = key !== undefined || ends.streams.size + ends.calls.size > 0;
    const inTransaction = async <T>(
      statement: (client: PoolClient, committed: AfterCommit) => Promise<T>,
      begin?: string,
    ) => {
      const notes: (() => void)[] = [];
      const work = async (client: PoolClient) => {
        // First, so that whoever waits for the key holds nothing yet.
        if (key !== undefined) await claimStartKey(client, { jobPrefix, key, runId });
        const written = await statement(client, (note) => notes.push(note));
        for (const [stream, owner] of ends.streams) await endStream(client, stream, owner);
        await closeModelCalls(client, ends.calls);
        return written;
      };
      const written = await transaction(pool, work, begin);
      for (const note of notes) note();
      return written;
    };
    const write: Write = isMore ? inTransaction : (statement) => statement(pool, atOnce);
    switch (event.eventType) {
      case 'run_created':
        return frequent.createRun(event, context, write);
      case 'run_started':
        return frequent.startRun(event, context, scope);
      case 'step_created':
        return frequent.createStep({ event, context, scope });
      case 'step_started':
        return frequent.startStep({ event, context, scope });
      case 'step_completed':
        return frequent.completeStep({ event, context, scope }, isMore ? inTransaction : undefined);
      case 'run_completed':
        return frequent.completeRun(event, context, scope);
      default: {
        const begin = event.eventType === 'wait_created' ? BEGIN_UNFLUSHED : undefined;
        const writing = { stock, queueSchema, jobPrefix, runId, event, params, scope, lease };
        return inTransaction((client, committed) => writeStock(client, writing, committed), begin);
      }
    }
  }

  return { ...options.stock, create: orFailedStep(create) };
}

function isFenced(scope: Scope | undefined, event: AnyEventRequest): boolean {
  return scope?.kind === 'replay' || (scope?.kind === 'step' && FENCED_IN_STEPS.has(event.eventType));
}

function stepOf(scope: Scope | undefined): StepScope | undefined {
  return scope?.kind === 'step' ? scope : undefined;
}

/** What is written with an event of a step: as it was then, since calls may end while it is written. */
interface EndingWith {
  /** Stream → run. */
  streams: ReadonlyMap<string, string>;
  calls: ReadonlyMap<string, CallEnd>;
}

function endingWith(scope: Scope | undefined, { eventType }: AnyEventRequest): EndingWith {
  const step = ENDS_EXECUTION.has(eventType) ? stepOf(scope) : undefined;
  // The next attempt goes on with the run's streams; those that the step has closed by itself are closed.
  const ofRun = eventType === 'step_retrying' ? [] : [...(step?.endingStreams ?? [])];
  const streams = new Map([...ofRun.map((name) => [name, step!.runId] as const), ...(step?.streams.ending ?? [])]);
  return { streams, calls: new Map(step?.endedCalls) };
}
