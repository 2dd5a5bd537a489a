import type { Pool } from 'pg';

/** Queued or active, in the words of the index that makes `exclusive` exclusive; `findJobs` would read the finished jobs too. */
const IS_OPEN = `j.state <= 'active' AND j.policy = 'exclusive'`;

export interface JobTable {
  /** Whether somebody holds the job of a run or a step. */
  isActive(queue: string, key: string): Promise<boolean>;
  /** Whether the job is still in the hands of who fetched it. */
  isHeld(queue: string, attempt: { id: string; retryCount: number }): Promise<boolean>;
  /** Takes a step's job out of the queue, unless somebody holds it: then false. */
  takeQueuedStep(queue: string, stepId: string): Promise<boolean>;
  /** The jobs of the unfinished steps of a run. */
  findStepJobs(queue: string, runId: string): Promise<string[]>;
  /** Of the given steps, those that are not finished and have no job in the queue. */
  findLostSteps(queue: string, stepIds: readonly string[]): Promise<string[]>;
}

/** What pg-boss has no question for. */
export function createJobTable(pool: Pool, queueSchema: string): JobTable {
  const exists = async (condition: string, values: unknown[]) =>
    (await pool.query(`SELECT FROM ${queueSchema}.job j WHERE ${condition}`, values)).rowCount === 1;
  const ids = async (statement: string, values: unknown[]) =>
    (await pool.query<{ id: string }>(statement, values)).rows.map(({ id }) => id);

  const isActive = (queue: string, key: string) =>
    exists(`j.name = $1 AND coalesce(j.singleton_key, '') = $2 AND ${IS_OPEN} AND j.state = 'active'`, [queue, key]);

  return {
    isActive,

    async takeQueuedStep(queue, stepId) {
      await pool.query(
        `DELETE FROM ${queueSchema}.job j
         WHERE j.name = $1 AND coalesce(j.singleton_key, '') = $2 AND ${IS_OPEN} AND j.state < 'active'`,
        [queue, stepId],
      );
      return !(await isActive(queue, stepId));
    },

    isHeld: (queue, { id, retryCount }) =>
      exists(`j.name = $1 AND j.id = $2 AND j.retry_count = $3 AND j.state = 'active'`, [queue, id, retryCount]),

    findStepJobs: (queue, runId) =>
      ids(
        `SELECT j.id FROM workflow.workflow_steps s
         JOIN ${queueSchema}.job j ON j.name = $1 AND coalesce(j.singleton_key, '') = s.step_id AND ${IS_OPEN}
         WHERE s.run_id = $2 AND s.status IN ('pending', 'running')`,
        [queue, runId],
      ),

    findLostSteps: (queue, stepIds) =>
      ids(
        `SELECT s.step_id AS id FROM workflow.workflow_steps s
         WHERE s.step_id = ANY ($2) AND s.status IN ('pending', 'running') AND NOT EXISTS (
           SELECT FROM ${queueSchema}.job j
           WHERE j.name = $1 AND coalesce(j.singleton_key, '') = s.step_id AND ${IS_OPEN})`,
        [queue, stepIds],
      ),
  };
}
