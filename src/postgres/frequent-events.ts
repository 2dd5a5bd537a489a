import type { ClientBase, Pool } from 'pg';
import type { Lease } from '../runtime/scope.ts';
import { ALONE_AFTER_DEATHS } from './deaths.ts';
import { eventIds, type EventRow } from './event-rows.ts';

type Queryable = ClientBase | Pool;
type Bytes = Buffer | null;

/** What every event of a run is written with. */
export interface EventContext {
  runId: string;
  specVersion: number | undefined;
  queueSchema: string;
  /** In whose name; undefined: whoever it is. */
  lease: Lease | undefined;
  /** Whether steps may begin although workers died of the run. */
  alone: boolean;
}

/** An event that was written; ids are without `wevt_`. */
interface Written {
  /** The run's last event before it. */
  previous: string | null;
  at: Date;
}

export interface NewRun {
  jobPrefix: string;
  deploymentId: string;
  workflowName: string;
  input: Bytes;
  executionContext: Bytes;
  payload: Bytes;
}

export interface NewStep {
  stepId: string;
  stepName: string;
  input: Bytes;
  payload: Bytes;
  startPayload: Bytes;
}

/** With each event of the beginning of the run's log; without any (nulls), if the first one is large. */
export interface StartedRun extends EventRow {
  /** False if the run was started before: then nothing was written. */
  started: boolean;
  started_at: Date;
  /** Of the whole log. */
  wake_seq: number;
  /** Its last event. */
  last: string;
}

interface CreatedSteps extends Written {
  /** Of the creations, then of the beginnings. */
  ids: string[];
  /** The run's last event now. */
  last: string;
  created: string[];
  started: string[];
}

export interface StepStart extends Written {
  /** Null if it did not begin. */
  id: string | null;
  last: string;
  /** Null: there is no such step. */
  status: string | null;
  /** Until it may be tried again. */
  retry_seconds: number | null;
  /** Executions of it that were cut off. */
  interruptions: number;
  /** Which execution begins, from 1; interruptions included. */
  attempt: number;
  name: string;
  input: Bytes;
  created_at: Date;
  started_at: Date;
}

interface CompletedSteps extends Written {
  ids: string[];
  last: string;
  /** `''` where the result was recorded; the status of a step that had one; null where there is no such step. */
  refusals: (string | null)[];
}

/** Each calls the function of the database of its name: see event-functions.ts and step-functions.ts. */
export const frequentEvents = {
  createRun: (db: Queryable, context: EventContext, run: NewRun) => {
    const { runId, specVersion } = context;
    const { jobPrefix, deploymentId, workflowName, input, executionContext, payload } = run;
    const row = [jobPrefix, deploymentId, workflowName, input, executionContext, payload];
    const values = [runId, eventIds(1)[0], ...fence(context), specVersion, ...row];
    return callOnce<{ id: string; at: Date }>(db, 'create_run', values);
  },

  /** Refused if so many workers died of the run. */
  startRun: (db: Queryable, context: EventContext, deathsLimit: number | undefined) => {
    const { runId, specVersion } = context;
    const values = [runId, eventIds(1)[0], ...fence(context), specVersion, deathsLimit];
    return call<StartedRun>(db, 'start_run', values);
  },

  /** Creates steps, and starts the first `start` of them, unless workers died of the run. */
  createSteps: (db: Queryable, context: EventContext, steps: readonly NewStep[], start: number) => {
    const { runId, specVersion } = context;
    const column = <Key extends keyof NewStep>(key: Key) => steps.map((step) => step[key]);
    const rows = [column('stepId'), column('stepName'), column('input'), column('payload')];
    const begin = [start, column('startPayload').slice(0, start), limitOfDeaths(context)];
    const values = [runId, eventIds(steps.length + start), ...fence(context), specVersion, ...rows, ...begin];
    return callOnce<CreatedSteps>(db, 'create_steps', values);
  },

  startSteps: (db: Queryable, context: EventContext, steps: readonly { stepId: string; payload: Bytes }[]) => {
    const { runId, specVersion } = context;
    const rows = [steps.map(({ stepId }) => stepId), steps.map(({ payload }) => payload)];
    const values = [runId, eventIds(steps.length), ...fence(context), specVersion, ...rows, limitOfDeaths(context)];
    return call<StepStart>(db, 'start_steps', values);
  },

  completeSteps: (
    db: Queryable,
    { runId, specVersion }: EventContext,
    steps: readonly { stepId: string; output: Bytes; payload: Bytes }[],
  ) => {
    const rows = [steps.map(({ stepId }) => stepId), steps.map((it) => it.output), steps.map((it) => it.payload)];
    return callOnce<CompletedSteps>(db, 'complete_steps', [runId, eventIds(steps.length), specVersion, ...rows]);
  },

  completeRun: (db: Queryable, context: EventContext, output: Bytes, payload: Bytes) => {
    const { runId, specVersion } = context;
    const values = [runId, eventIds(1)[0], ...fence(context), specVersion, output, payload];
    return callOnce<Written & { id: string }>(db, 'complete_run', values);
  },
};

function fence({ queueSchema, lease }: EventContext): unknown[] {
  return [queueSchema, lease?.queue, lease?.jobId, lease?.retryCount];
}

function limitOfDeaths({ alone }: EventContext): number | null {
  return alone ? null : ALONE_AFTER_DEATHS;
}

async function callOnce<Row extends object>(db: Queryable, name: string, values: unknown[]): Promise<Row> {
  const [row] = await call<Row>(db, name, values);
  return row!;
}

async function call<Row extends object>(db: Queryable, name: string, values: unknown[]): Promise<Row[]> {
  const parameters = values.map((_, index) => `$${index + 1}`).join(', ');
  const text = `SELECT * FROM workflow_engine.${name}(${parameters})`;
  return (await db.query<Row>({ name, text, values })).rows;
}
