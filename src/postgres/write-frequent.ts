import type { Event, EventResult, WorkflowRun } from '@workflow/world';
import type { Pool, PoolClient } from 'pg';
import type { Scope } from '../runtime/scope.ts';
import { createBatches } from './batches.ts';
import { asEvent, asEvents, encode, readEvents } from './event-rows.ts';
import { frequentEvents, type EventContext } from './frequent-events.ts';
import { completeSteps, createSteps, startSteps, type AfterCommit, type Of, type StepEvent } from './write-steps.ts';

export interface FrequentOptions {
  pool: Pool;
  jobPrefix: string;
  /** world-postgres's own. */
  readRun(runId: string): Promise<WorkflowRun>;
}

/** Runs a statement by itself, or in a transaction with what else belongs to the event. */
export type Write = <T>(statement: (db: Pool | PoolClient, committed: AfterCommit) => Promise<T>) => Promise<T>;

/** Writes the events that every run and every step has: those of steps together, as they come. */
export function createFrequentWriter({ pool, jobPrefix, readRun }: FrequentOptions) {
  const creations = createBatches((items: StepEvent<'step_created'>[]) => createSteps(pool, items), {
    // In the step, and in its event.
    sizeOf: ({ event }) => 2 * bytesOf(event.eventData.input),
  });
  const starts = createBatches((items: StepEvent<'step_started'>[]) => startSteps(pool, items));
  const results = createBatches((items: StepEvent<'step_completed'>[]) => completeSteps(pool, items, atOnce), {
    sizeOf: ({ event }) => 2 * bytesOf(event.eventData.result),
  });

  async function createRun(event: Of<'run_created'>, context: EventContext, write: Write): Promise<EventResult> {
    const { deploymentId, workflowName, input, executionContext } = event.eventData;
    const seed = { jobPrefix, deploymentId, workflowName };
    const data = { input: encode(input), executionContext: encode(executionContext), payload: encode(event.eventData) };
    const { id, at } = await write((db) => frequentEvents.createRun(db, context, { ...seed, ...data }));
    const { runId, specVersion } = context;
    const row = { runId, deploymentId, workflowName, specVersion, input, executionContext };
    return {
      event: asEvent(event, runId, id, at),
      run: { ...row, status: 'pending', createdAt: at, updatedAt: at } as WorkflowRun,
    };
  }

  /** Also for a run that was started before: its whole log comes with it. */
  async function startRun(event: Of<'run_started'>, context: EventContext, scope?: Scope): Promise<EventResult> {
    const { runId } = context;
    const { log, deathsLimit } = scope?.kind === 'replay' ? scope : {};
    const load = log?.beginReading();
    const start = () => frequentEvents.startRun(pool, context, deathsLimit);
    const rows = await start().catch(async (error: unknown) => {
      const creation = creationIn(event);
      if (codeOf(error) !== 'WF404' || !creation) throw error;
      // `start()` sends the creation and this message in parallel: either must work alone.
      await createRun(creation, context, (statement) => statement(pool, atOnce)).catch(ignoreExisting);
      return start();
    });
    const { started, started_at, wake_seq, last } = rows[0]!;
    const sent = rows.filter(({ id }) => id);
    const beginning = asEvents(sent, runId);
    const lastSent = sent.at(-1)?.id.slice('wevt_'.length);
    const rest = lastSent === last ? [] : await readEvents(pool, runId, lastSent);
    const events = [...beginning, ...rest];
    const run = runOf(events, started_at) ?? (await readRun(runId));
    load?.(events, wake_seq);
    if (log) log.run = run;
    const own = started && events.find(({ eventType }) => eventType === 'run_started');
    return { ...(own && { event: own }), run, events, hasMore: false, cursor: events.at(-1)?.eventId ?? null };
  }

  /** A result with which something else is written has a transaction of its own. */
  async function completeStep(item: StepEvent<'step_completed'>, write: Write | undefined): Promise<EventResult> {
    const { context } = item;
    if (!write) return resultOf(await results(context.runId, item));
    const [written] = await write((db, committed) => completeSteps(db, [item], committed));
    return resultOf(written!);
  }

  async function completeRun(event: Of<'run_completed'>, context: EventContext, scope?: Scope): Promise<EventResult> {
    const { output } = event.eventData;
    const data = [encode(output), encode(event.eventData)] as const;
    const { id, at, previous } = await frequentEvents.completeRun(pool, context, ...data);
    const written = asEvent(event, context.runId, id, at);
    scope?.log?.add(previous, [written], id);
    return { event: written };
  }

  return {
    createRun,
    startRun,
    createStep: async (item: StepEvent<'step_created'>) =>
      resultOf(await creations(item.scope ?? item.context.runId, item)),
    startStep: async (item: StepEvent<'step_started'>) => resultOf(await starts(keyOfLease(item.context), item)),
    completeStep,
    completeRun,
  };
}

/** A statement by itself is committed when it answers. */
export const atOnce: AfterCommit = (note) => note();

function keyOfLease({ runId, lease, alone }: EventContext): string {
  return [runId, lease?.jobId, lease?.retryCount, alone].join(' ');
}

function bytesOf(value: unknown): number {
  return value instanceof Uint8Array ? value.byteLength : 0;
}

/** The creation that the first message of a run carries, should its own get lost. */
function creationIn({ eventData, specVersion }: Of<'run_started'>): Of<'run_created'> | undefined {
  const { deploymentId, workflowName, input, executionContext } = eventData ?? {};
  if (!deploymentId || !workflowName || input === undefined) return undefined;
  const given = { deploymentId, workflowName, input, ...(executionContext && { executionContext }) };
  return { eventType: 'run_created', specVersion, eventData: given };
}

/** Without another statement. `startedAt` is of its row: it is the random seed of every replay. */
function runOf([first]: readonly Event[], startedAt: Date): WorkflowRun | undefined {
  if (first?.eventType !== 'run_created') return undefined;
  const { runId, specVersion, createdAt } = first;
  const { deploymentId, workflowName, input, executionContext } = first.eventData;
  const row = { runId, deploymentId, workflowName, specVersion, input, executionContext };
  return { ...row, status: 'running', createdAt, startedAt, updatedAt: startedAt };
}

function resultOf(written: EventResult | Error): EventResult {
  if (written instanceof Error) throw written;
  return written;
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

function ignoreExisting(error: unknown): void {
  if (codeOf(error) !== 'WF409') throw error;
}
