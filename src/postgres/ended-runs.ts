import type { Pool } from 'pg';

/** Of the given runs, those that have ended, and how; `gone`: they were removed. */
export async function findEndedRuns(pool: Pool, runIds: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await pool.query<{ id: string; how: string }>(
    `SELECT id, coalesce(r.status::text, 'gone') AS how
     FROM unnest($1::text[]) AS id LEFT JOIN workflow.workflow_runs r USING (id)
     WHERE r.status IS NULL OR r.status NOT IN ('pending', 'running')`,
    [runIds],
  );
  return new Map(rows.map(({ id, how }) => [id, how]));
}
