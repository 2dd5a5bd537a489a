import type { ClientBase } from 'pg';

const RUNS_PER_SWEEP = 500;

export interface ForgottenRun {
  runId: string;
  deploymentId: string;
  workflowName: string;
}

/**
 * Runs that have something to do and no job that will see to it: unseen events, a due timer, or a
 * step that waits for a job which is gone. Partial indexes find the candidates; a run that is
 * parked on a hook or a timer is in none of them.
 */
export async function findForgottenRuns(
  client: ClientBase,
  jobPrefix: string,
  queueSchema: string,
): Promise<ForgottenRun[]> {
  const { rows } = await client.query<ForgottenRun>(
    `WITH candidate AS (
       SELECT * FROM workflow_engine.run_progress WHERE job_prefix = $1 AND wake_seq > seen_seq
       UNION
       SELECT * FROM workflow_engine.run_progress WHERE job_prefix = $1 AND due_at <= now()
       UNION
       SELECT * FROM workflow_engine.run_progress p WHERE job_prefix = $1 AND awaits_steps AND EXISTS (
         SELECT FROM workflow.workflow_steps s
         WHERE s.run_id = p.run_id AND s.status IN ('pending', 'running') AND NOT EXISTS (
           SELECT FROM ${queueSchema}.job j
           WHERE j.name = p.job_prefix || 'steps.' || p.deployment_id AND coalesce(j.singleton_key, '') = s.step_id
             AND j.state <= 'active' AND j.policy = 'exclusive'))
     )
     SELECT run_id AS "runId", deployment_id AS "deploymentId", workflow_name AS "workflowName"
     FROM candidate
     WHERE run_id <> ALL (ARRAY(
       SELECT singleton_key FROM ${queueSchema}.job
       WHERE name = ANY (ARRAY(SELECT DISTINCT job_prefix || 'flows.' || deployment_id FROM candidate))
         AND singleton_key IS NOT NULL
         -- a retry comes due by itself, after a delay that grows with its failures
         AND (state IN ('active', 'retry') OR state = 'created' AND start_after <= now())))
     LIMIT ${RUNS_PER_SWEEP}`,
    [jobPrefix],
  );
  return rows;
}
