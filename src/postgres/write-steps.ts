import { EntityConflictError } from '@workflow/errors';
import type { AnyEventRequest, Event, EventResult, Step } from '@workflow/world';
import type { Pool, PoolClient } from 'pg';
import type { Scope } from '../runtime/scope.ts';
import { asEvent, decode, encode, eventDataOf } from './event-rows.ts';
import { frequentEvents, type EventContext, type NewStep, type StepStart } from './frequent-events.ts';
import { StepRefusal } from './refusals.ts';

type Database = Pool | PoolClient;

export type Of<Type extends AnyEventRequest['eventType']> = Extract<AnyEventRequest, { eventType: Type }>;

/** An event of a step that is to be written. */
export interface StepEvent<Type extends 'step_created' | 'step_started' | 'step_completed'> {
  event: Of<Type>;
  context: EventContext;
  scope: Scope | undefined;
}

/** Takes what is to be done once a transaction is committed: until then, nobody may remember what it wrote. */
export type AfterCommit = (note: () => void) => void;

/** What was written for an event, or why nothing was. */
type Written = EventResult | Error;

/** Those that a replay asks for; for which this process has room, those begin at once. */
export async function createSteps(db: Database, items: readonly StepEvent<'step_created'>[]): Promise<Written[]> {
  const { context, scope } = items[0]!;
  const { runId } = context;
  const start = scope?.kind === 'replay' ? scope.reserve(items.length) : 0;
  const rows = items.map(({ event }) => rowOf(event));
  const creating = frequentEvents.createSteps(db, context, rows, start).catch((error: unknown) => {
    if (scope?.kind === 'replay') scope.giveBack(start);
    throw error;
  });
  const { ids, at, previous, last, ...written } = await creating;
  const created = new Set(written.created);
  const started = new Set(written.started);
  const events = items.map(({ event }, n) => asEvent(event, runId, ids[n]!, at));
  const starts = items.slice(0, start).map(({ event }, n) => ({
    event: asEvent(startOf(event), runId, ids[items.length + n]!, at),
    step: newStep(event, runId, at),
  }));
  const begun = starts.filter(({ step }) => started.has(step.stepId));
  const own = [...events.filter((_, n) => created.has(rows[n]!.stepId)), ...begun.map(({ event }) => event)];
  scope?.log?.add(previous, own, last);
  if (scope?.kind === 'replay') for (const it of begun) scope.startedSteps.set(it.step.stepId, it);
  return events.map((event, n) => {
    const { stepId } = rows[n]!;
    return created.has(stepId) ? { event } : new EntityConflictError(`step_created of ${stepId} refused: it exists`);
  });
}

/** Those that begin at the same moment, under one lease. */
export async function startSteps(db: Database, items: readonly StepEvent<'step_started'>[]): Promise<Written[]> {
  const { context, scope } = items[0]!;
  const steps = items.map(({ event }) => ({ stepId: event.correlationId, payload: encode(eventDataOf(event)) }));
  const rows = await frequentEvents.startSteps(db, context, steps);
  const results = items.map((item, n) => startedStep(item, rows[n]!));
  const { previous, last } = rows.at(-1)!;
  scope?.log?.add(previous, eventsOf(results), last);
  return results;
}

/** Results of a run that come at the same moment, whoever has executed them. */
export async function completeSteps(
  db: Database,
  items: readonly StepEvent<'step_completed'>[],
  committed: AfterCommit,
): Promise<Written[]> {
  const { context } = items[0]!;
  const steps = items.map(({ event }) => ({
    stepId: event.correlationId,
    output: encode(event.eventData.result),
    payload: encode(event.eventData),
  }));
  const { ids, at, previous, last, refusals } = await frequentEvents.completeSteps(db, context, steps);
  const results = items.map(({ event }, n) =>
    refusals[n] === '' ? { event: asEvent(event, context.runId, ids[n]!, at) } : new StepRefusal(refusals[n]!),
  );
  // A worker may execute steps of a run that it drives as well; all of them are in one log.
  const logs = new Set(items.map(({ scope }) => scope?.log));
  for (const log of logs) committed(() => log?.add(previous, eventsOf(results), last));
  return results;
}

function eventsOf(results: readonly Written[]): Event[] {
  return results.flatMap((result) => (result instanceof Error || !result.event ? [] : [result.event]));
}

function startedStep({ event, context, scope }: StepEvent<'step_started'>, row: StepStart): Written {
  if (row.id === null) return new StepRefusal(row.status, row.retry_seconds);
  if (scope?.kind === 'step') scope.execution = row.attempt;
  const { runId, specVersion } = context;
  const times = { startedAt: row.started_at, createdAt: row.created_at, updatedAt: row.at };
  const attempt = row.attempt - row.interruptions;
  const step = {
    runId,
    stepId: event.correlationId,
    stepName: row.name,
    attempt,
    input: decode(row.input),
    specVersion,
  };
  return { event: asEvent(event, runId, row.id, row.at), step: { ...step, ...times, status: 'running' } };
}

function startOf({ specVersion, correlationId, eventData: { stepName } }: Of<'step_created'>): Of<'step_started'> {
  return { eventType: 'step_started', specVersion, correlationId, eventData: { stepName } };
}

function rowOf(event: Of<'step_created'>): NewStep {
  const { stepName, input } = event.eventData;
  const payload = encode(event.eventData);
  const startPayload = encode(eventDataOf(startOf(event)));
  return { stepId: event.correlationId, stepName, input: encode(input), payload, startPayload };
}

/** Its first attempt. */
function newStep({ correlationId, eventData, specVersion }: Of<'step_created'>, runId: string, at: Date): Step {
  const { stepName, input } = eventData;
  const times = { startedAt: at, createdAt: at, updatedAt: at };
  return { runId, stepId: correlationId, stepName, input, specVersion, status: 'running', attempt: 1, ...times };
}
