import type { ClientBase } from 'pg';

/**
 * Charges a run, and the step if it is a step's job that lost its holder, with a death. In the
 * transaction that takes the job away, which has locked the run.
 * @param key of the job: the id of the run or of the step
 */
export async function recordDeath(client: ClientBase, runId: string, key: string): Promise<void> {
  if (key === runId) {
    await client.query('UPDATE workflow_engine.run_progress SET deaths = deaths + 1 WHERE run_id = $1', [runId]);
    return;
  }
  // Not added to the run's: with it, a process that held several of its jobs would count for several deaths.
  await client.query(
    `WITH step AS (
       INSERT INTO workflow_engine.step_progress (step_id, run_id, job_prefix, deaths)
       SELECT $2, run_id, job_prefix, 1 FROM workflow_engine.run_progress WHERE run_id = $1
       ON CONFLICT (step_id) DO UPDATE SET deaths = step_progress.deaths + 1
       RETURNING deaths
     )
     UPDATE workflow_engine.run_progress SET deaths = greatest(deaths, (SELECT deaths FROM step)) WHERE run_id = $1`,
    [runId, key],
  );
}
