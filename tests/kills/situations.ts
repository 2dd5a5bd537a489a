import type { TestDatabase } from '../support/database.ts';

/** What a run is doing when its worker dies. */
export interface Situation {
  name: string;
  workflow: string;
  args: unknown[];
  /** The moment to kill is at a random time, up to this, after `reached`. */
  withinMs: number;
  /** Whether the run is there; `random` is from 0 to 1, the same at every look. */
  reached(database: TestDatabase, runId: string, random: number): Promise<boolean>;
}

const QUICK_STEPS = 60;

const count = async ({ query }: TestDatabase, runId: string, type: string): Promise<number> =>
  (await query(`SELECT FROM workflow.workflow_events WHERE run_id = $1 AND type = $2`, [runId, type])).length;

const executions = async ({ query }: TestDatabase, runId: string): Promise<number> =>
  (await query('SELECT FROM executions WHERE run_id = $1', [runId])).length;

/** Workflows of tests/fixtures/workflows.ts. */
export const SITUATIONS: readonly Situation[] = [
  {
    // Its steps take no time: what takes time is replaying, and writing events.
    name: 'replaying',
    workflow: 'sequenceWorkflow',
    args: [QUICK_STEPS],
    withinMs: 0,
    reached: async (database, runId, random) =>
      (await count(database, runId, 'step_completed')) > (random * QUICK_STEPS) / 2,
  },
  {
    name: 'in a step',
    workflow: 'waitingWorkflow',
    args: [1_000],
    withinMs: 500,
    reached: async (database, runId) => (await executions(database, runId)) === 1,
  },
  {
    name: 'in parallel steps',
    workflow: 'parallelWorkflow',
    args: [4, 1_000],
    withinMs: 500,
    reached: async (database, runId) => (await executions(database, runId)) === 4,
  },
  {
    name: 'in a durable wait',
    workflow: 'mixedWithoutHookWorkflow',
    args: [],
    withinMs: 500,
    reached: async (database, runId) => (await count(database, runId, 'wait_created')) === 1,
  },
];
