import type { Pool } from 'pg';
import { APPROVAL_PREFIX } from '../approval/approval.ts';

/**
 * SQL: whether a run waits for an approval that nobody has given yet. (The hook stays until a worker has
 * gone on with the run, and none may be there.)
 * @param runId an SQL expression
 */
export function waitsForApproval(runId: string): string {
  return `EXISTS (
    SELECT FROM workflow.workflow_hooks hook
    WHERE hook.run_id = ${runId} AND hook.token = '${APPROVAL_PREFIX}' || ${runId} AND NOT EXISTS (
      SELECT FROM workflow.workflow_events event
      WHERE event.run_id = hook.run_id AND event.correlation_id = hook.hook_id AND event.type = 'hook_received'))`;
}

/** Whether the run waits for approval, and its driver has given it back: nothing else is left to do for it. */
export async function isParkedForApproval(pool: Pool, runId: string): Promise<boolean> {
  const { rows } = await pool.query<{ parked: boolean }>(
    `SELECT seen_seq = wake_seq AND due_at IS NULL AND NOT awaits_steps AND ${waitsForApproval('run_id')} AS parked
     FROM workflow_engine.run_progress WHERE run_id = $1`,
    [runId],
  );
  return rows[0]?.parked ?? false;
}
