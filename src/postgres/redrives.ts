import type { Pool } from 'pg';

/** Notes which run a new one repeats, and takes the dead letter of that one away. */
export async function linkRedrive(
  pool: Pool,
  link: { runId: string; redriveOf: string; jobPrefix: string; queueSchema: string },
): Promise<void> {
  await pool.query(
    `WITH letter AS (DELETE FROM ${link.queueSchema}.job WHERE name = $3 || 'dead' AND singleton_key = $2)
     UPDATE workflow_engine.run_progress SET redrive_of = $2 WHERE run_id = $1`,
    [link.runId, link.redriveOf, link.jobPrefix],
  );
}
