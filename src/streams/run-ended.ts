import type { Pool } from 'pg';

/**
 * Whether the run that a stream is named after is over. Then nothing comes any more, end mark or
 * not: a run that fails before its stream is ended must not leave readers waiting.
 */
export async function hasRunEnded(pool: Pool, stream: string): Promise<boolean> {
  const ulid = /^strm_([0-9A-Z]{26})_user/.exec(stream)?.[1];
  // Such a stream has no run to ask: health checks, and what users name themselves.
  if (!ulid) return false;
  const { rows } = await pool.query<{ ended: boolean }>(
    `SELECT status IN ('completed', 'failed', 'cancelled') AS ended FROM workflow.workflow_runs WHERE id = $1`,
    [`wrun_${ulid}`],
  );
  return rows[0]?.ended ?? false;
}
