import { hydrateData } from '@workflow/core/serialization-format';
import type { RunningWorld } from '../runtime/current-world.ts';
import { shortName } from '../cli/timeline.ts';
import type { SimulatedCall } from '../model/simulated-api.ts';
import type { Death } from './kill-point.ts';

export interface StepReport {
  /** The step's function, and for one of several alike, what it was called with. */
  step: string;
  /** Reused: completed before the kill. Repeated: cut off by it, or begun twice. Begun: only after it. */
  fate: 'reused' | 'repeated' | 'begun';
  /** How often it was begun, by the log. */
  executions: number;
  /** Of a model, by the ledger. */
  modelCalls: number;
}

export interface CrashReport {
  /** From the start of the run to the kill, and to the first event after it. */
  killedAfterMs: number;
  wentOnAfterMs: number;
  steps: StepReport[];
  /** By the ledger. */
  modelCalls: { begun: number; cutOff: number };
  /** The same by the simulated API, which was asked; undefined for Claude. */
  apiCalls: { begun: number; cutOff: number } | undefined;
}

interface StepRow {
  id: string;
  doneBefore: boolean;
  startedBefore: boolean;
  executions: number;
  calls: number;
  cutOffCalls: number;
}

/** What the log, the ledger and the API say about a run that was cut short once. */
export async function reportCrash(
  { pool, world }: Pick<RunningWorld, 'pool' | 'world'>,
  runId: string,
  { at, lastEventId }: Death,
  calls: readonly SimulatedCall[] | undefined,
): Promise<CrashReport> {
  const { rows } = await pool.query<StepRow>(
    `SELECT s.step_id AS id,
            bool_or(e.type = 'step_completed' AND e.id <= $2) AS "doneBefore",
            bool_or(e.type = 'step_started' AND e.id <= $2) AS "startedBefore",
            count(*) FILTER (WHERE e.type = 'step_started')::int AS executions,
            (SELECT count(*) FROM workflow_engine.model_calls c WHERE c.step_id = s.step_id)::int AS calls,
            (SELECT count(*) FROM workflow_engine.model_calls c
             WHERE c.step_id = s.step_id AND coalesce(outcome, 'lost') IN ('lost', 'aborted'))::int AS "cutOffCalls"
     FROM workflow.workflow_steps s
     JOIN workflow.workflow_events e ON e.run_id = s.run_id AND e.correlation_id = s.step_id
     WHERE s.run_id = $1 GROUP BY s.step_id ORDER BY s.step_id`,
    [runId, lastEventId],
  );
  const times = await pool.query<{ killedAfterMs: number; wentOnAfterMs: number }>(
    `SELECT extract(epoch FROM $3::timestamptz AT TIME ZONE 'UTC' - r.created_at)::float * 1000 AS "killedAfterMs",
            extract(epoch FROM min(e.created_at) - r.created_at)::float * 1000 AS "wentOnAfterMs"
     FROM workflow.workflow_runs r JOIN workflow.workflow_events e ON e.run_id = r.id AND e.id > $2
     WHERE r.id = $1 GROUP BY r.created_at`,
    [runId, lastEventId, at],
  );
  const { killedAfterMs = 0, wentOnAfterMs = 0 } = times.rows[0] ?? {};
  return {
    killedAfterMs: Math.round(killedAfterMs),
    wentOnAfterMs: Math.round(wentOnAfterMs),
    steps: await Promise.all(rows.map(async (row) => describeStep(row, await nameStep(world, runId, row.id)))),
    modelCalls: { begun: sum(rows, ({ calls: n }) => n), cutOff: sum(rows, ({ cutOffCalls }) => cutOffCalls) },
    apiCalls: calls && { begun: calls.length, cutOff: calls.filter(({ state }) => state === 'cut off').length },
  };
}

function describeStep({ doneBefore, startedBefore, executions, calls }: StepRow, step: string): StepReport {
  const began = startedBefore ? 'repeated' : 'begun';
  return { step, fate: doneBefore ? 'reused' : began, executions, modelCalls: calls };
}

/** `research technical`: the agents are one function. */
async function nameStep(world: RunningWorld['world'], runId: string, stepId: string): Promise<string> {
  const { stepName, input } = await world.steps.get(runId, stepId, { resolveData: 'all' });
  const { args = [] } = hydrateData(input, {}) as { args?: unknown[] };
  const name = shortName(stepName);
  return name === 'research' && typeof args[0] === 'string' ? `${name} ${args[0]}` : name;
}

function sum<T>(rows: readonly T[], valueOf: (row: T) => number): number {
  return rows.reduce((total, row) => total + valueOf(row), 0);
}
