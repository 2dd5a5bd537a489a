import type { ClientBase } from 'pg';
import { AS_IN_QUEUE } from '../postgres/byte-order.ts';

const RUNS_PER_SWEEP = 500;

/** Who starts hundreds of runs at once takes so long to send their messages. */
const NEW_FOR = '5 seconds';

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
           WHERE j.name = (p.job_prefix || 'steps.' || p.deployment_id) ${AS_IN_QUEUE}
             AND coalesce(j.singleton_key, '') = s.step_id ${AS_IN_QUEUE}
             AND j.state <= 'active' AND j.policy = 'exclusive'))
     )
     SELECT run_id AS "runId", deployment_id AS "deploymentId", workflow_name AS "workflowName"
     -- a look into an index for each candidate, whatever the planner takes a queue of 10,000 runs for
     FROM candidate LEFT JOIN LATERAL (
       SELECT true AS has_job FROM ${queueSchema}.job j
       WHERE j.name = (job_prefix || 'flows.' || deployment_id) ${AS_IN_QUEUE}
         AND coalesce(j.singleton_key, '') = run_id ${AS_IN_QUEUE}
         AND j.state <= 'active' AND j.policy = 'exclusive'
         -- a retry comes due by itself, after a delay that grows with its failures
         AND (j.state <> 'created' OR j.start_after <= now())
       LIMIT 1
     ) AS job ON true
     WHERE has_job IS NULL AND (wake_seq > 1 OR created_at < now() - interval '${NEW_FOR}')
     ORDER BY run_id
     LIMIT ${RUNS_PER_SWEEP}`,
    [jobPrefix],
  );
  return rows;
}
