import type { Pool } from 'pg';

const RUNS_PER_STATEMENT = 500;
const ROWS_PER_STATEMENT = 5_000;

/** `start()` may write a stream that is an argument before the run itself. */
const NOT_YET_STARTED = '24 hours';

/**
 * Removes chunks of runs that are gone: an execution that lost its lease may have written on while
 * its run was removed. A foreign key would refuse them, at the price of a lock for every flush.
 * Whose they were cannot be told any more; nobody can read them.
 */
export async function pruneLeftovers(
  pool: Pool,
  endedByMs: number,
  dryRun: boolean,
  onRemoved: (chunks: number) => void,
): Promise<void> {
  const writtenBy = new Date(endedByMs);
  let after = '';
  for (;;) {
    // From run to run along the index, without reading the chunks in between.
    const { rows } = await pool.query<{ id: string; gone: boolean }>(
      `WITH RECURSIVE run AS (
         (SELECT run_id AS id, 1 AS n FROM workflow.workflow_stream_chunks WHERE run_id > $1 ORDER BY run_id LIMIT 1)
         UNION ALL
         SELECT (SELECT run_id FROM workflow.workflow_stream_chunks WHERE run_id > run.id ORDER BY run_id LIMIT 1), n + 1
         FROM run WHERE run.id IS NOT NULL AND n < ${RUNS_PER_STATEMENT}
       )
       SELECT id, NOT EXISTS (SELECT FROM workflow.workflow_runs r WHERE r.id = run.id) AS gone
       FROM run WHERE id IS NOT NULL ORDER BY n`,
      [after],
    );
    for (const { id } of rows.filter(({ gone }) => gone)) onRemoved(await removeChunks(pool, id, writtenBy, dryRun));
    if (rows.length < RUNS_PER_STATEMENT) return;
    after = rows.at(-1)!.id;
  }
}

async function removeChunks(pool: Pool, runId: string, writtenBy: Date, dryRun: boolean): Promise<number> {
  const old = `FROM workflow.workflow_stream_chunks WHERE run_id = $1 AND 
    created_at <= least($2, now() - interval '${NOT_YET_STARTED}') AT TIME ZONE 'UTC'`;
  if (dryRun) {
    const { rows } = await pool.query<{ count: number }>(`SELECT count(*)::integer AS count ${old}`, [
      runId,
      writtenBy,
    ]);
    return rows[0]!.count;
  }
  for (let removed = 0; ;) {
    const { rowCount } = await pool.query(
      `DELETE FROM workflow.workflow_stream_chunks WHERE ctid = ANY (ARRAY(SELECT ctid ${old} LIMIT ${ROWS_PER_STATEMENT}))`,
      [runId, writtenBy],
    );
    removed += rowCount ?? 0;
    if ((rowCount ?? 0) < ROWS_PER_STATEMENT) return removed;
  }
}
