import type { Pool } from 'pg';
import { waitsForApproval } from './approvals.ts';

export interface UnfinishedRun {
  runId: string;
  workflowName: string;
  deploymentId: string;
  /** Nobody goes on with it before somebody has answered. */
  waitsForApproval: boolean;
}

/** The runs of a job prefix that have not ended, oldest first. */
export async function findUnfinishedRuns(pool: Pool, jobPrefix: string): Promise<UnfinishedRun[]> {
  const { rows } = await pool.query<UnfinishedRun>(
    `SELECT r.id AS "runId", p.workflow_name AS "workflowName", p.deployment_id AS "deploymentId",
            ${waitsForApproval('r.id')} AS "waitsForApproval"
     FROM workflow_engine.run_progress p JOIN workflow.workflow_runs r ON r.id = p.run_id
     WHERE p.job_prefix = $1 AND r.status IN ('pending', 'running') ORDER BY p.created_at`,
    [jobPrefix],
  );
  return rows;
}
