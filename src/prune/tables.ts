import type { ClientBase, Pool } from 'pg';

/** What is counted, and shown to the user. */
export const KINDS = ['runs', 'events', 'steps', 'hooks', 'waits', 'streamChunks', 'jobs'] as const;
export type Kind = (typeof KINDS)[number];
export type Counts = Record<Kind, number>;

/**
 * Every table with rows of a run, beside the two that a run begins and ends with. A table that gets
 * a `run_id` is added here, with an index on it; a test fails until it is. The start key comes
 * first, so that nobody is given a run of which a part is gone. The steps come last, because they
 * lead to the jobs that may still be worked on.
 */
export const RUN_TABLES: readonly { table: string; kind?: Kind }[] = [
  { table: 'workflow_engine.start_keys' },
  { table: 'workflow.workflow_stream_chunks', kind: 'streamChunks' },
  { table: 'workflow.workflow_events', kind: 'events' },
  { table: 'workflow.workflow_hooks', kind: 'hooks' },
  { table: 'workflow.workflow_waits', kind: 'waits' },
  { table: 'workflow_engine.step_progress' },
  { table: 'workflow_engine.model_calls' },
  { table: 'workflow.workflow_steps', kind: 'steps' },
];

export interface RunSize {
  runId: string;
  /** Rows of all {@link RUN_TABLES}. */
  rows: number;
  counts: Counts;
}

export function noCounts(): Counts {
  return { runs: 0, events: 0, steps: 0, hooks: 0, waits: 0, streamChunks: 0, jobs: 0 };
}

/**
 * How much there is of each run.
 * @param limit counts of one table do not go beyond this; undefined: they are exact
 */
export async function measureRuns(
  db: Pool | ClientBase,
  runIds: readonly string[],
  limit?: number,
): Promise<RunSize[]> {
  const columns = RUN_TABLES.map(
    ({ table }) => `(SELECT count(*)::integer FROM (SELECT FROM ${table} WHERE run_id = run.id LIMIT $2) AS of_run)`,
  );
  const { rows } = await db.query<{ id: string; sizes: number[] }>(
    `SELECT id, ARRAY[${columns.join(', ')}] AS sizes FROM unnest($1::text[]) AS run (id)`,
    [runIds, limit],
  );
  return rows.map(({ id, sizes }) => {
    const counts = { ...noCounts(), runs: 1 };
    for (const [index, { kind }] of RUN_TABLES.entries()) if (kind) counts[kind] += sizes[index]!;
    return { runId: id, rows: sizes.reduce((sum, size) => sum + size, 0), counts };
  });
}

/** Removes all of these runs, in the open transaction. The runs' rows go last, which only matters to whoever reads this. */
export async function deleteRuns(client: ClientBase, runIds: readonly string[]): Promise<Counts> {
  const counts = noCounts();
  for (const { table, kind } of RUN_TABLES) {
    const { rowCount } = await client.query(`DELETE FROM ${table} WHERE run_id = ANY ($1)`, [runIds]);
    if (kind) counts[kind] += rowCount ?? 0;
  }
  const runs = await client.query('DELETE FROM workflow.workflow_runs WHERE id = ANY ($1)', [runIds]);
  counts.runs += runs.rowCount ?? 0;
  await client.query('DELETE FROM workflow_engine.run_progress WHERE run_id = ANY ($1)', [runIds]);
  return counts;
}
