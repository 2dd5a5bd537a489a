import type { Pool } from 'pg';
import { transaction } from '../postgres/pool.ts';

const SWEEP_INTERVAL_MS = 1_000;
const RUNS_PER_SWEEP = 500;

/** An arbitrary number; one worker at a time sweeps, per job prefix. */
const SWEEP_LOCK = 7_205_759;

export interface ForgottenRun {
  runId: string;
  deploymentId: string;
  workflowName: string;
}

/** Wakes the runs that have something to do and no job that will see to it. Returns what stops it. */
export function startSweep(
  pool: Pool,
  jobPrefix: string,
  queueSchema: string,
  wake: (run: ForgottenRun) => Promise<void>,
): () => Promise<void> {
  let sweeping: Promise<void> | undefined;
  const timer = setInterval(() => {
    // A sweep that failed is made up for by the next.
    sweeping ??= findForgottenRuns(pool, jobPrefix, queueSchema)
      .then((runs) => Promise.all(runs.map(wake)))
      .then(
        () => (sweeping = undefined),
        () => (sweeping = undefined),
      );
  }, SWEEP_INTERVAL_MS);
  return async () => {
    clearInterval(timer);
    await sweeping;
  };
}

/** Two partial indexes find the candidates: a parked run with nothing to do is in neither. */
function findForgottenRuns(pool: Pool, jobPrefix: string, queueSchema: string): Promise<ForgottenRun[]> {
  return transaction(pool, async (client) => {
    const lock = await client.query<{ ours: boolean }>(
      // Of the transaction, not the session: that would break behind a pooler.
      'SELECT pg_try_advisory_xact_lock($1, hashtext($2)) AS ours',
      [SWEEP_LOCK, jobPrefix],
    );
    if (!lock.rows[0]?.ours) return [];
    const { rows } = await client.query<ForgottenRun>(
      `WITH candidate AS (
         SELECT * FROM workflow_engine.run_progress WHERE job_prefix = $1 AND wake_seq > seen_seq
         UNION
         SELECT * FROM workflow_engine.run_progress WHERE job_prefix = $1 AND due_at <= now()
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
  });
}
