import type { Pool } from 'pg';
import { AS_IN_QUEUE } from '../postgres/byte-order.ts';
import type { QueueNames } from './boss.ts';

/** Queued or active, in the words of the index that makes `exclusive` exclusive; `findJobs` would read the finished jobs too. */
const IS_OPEN = `j.state <= 'active' AND j.policy = 'exclusive'`;

export interface JobTable {
  /** Whether somebody holds the job of a run or a step. */
  isActive(queue: string, key: string): Promise<boolean>;
  /** Whether the job is still in the hands of who fetched it. */
  isHeld(queue: string, attempt: { id: string; retryCount: number }): Promise<boolean>;
  /** Takes a step's job out of the queue, unless somebody holds it: then false. */
  takeQueuedStep(queue: string, stepId: string): Promise<boolean>;
  /** Takes the steps of a run that has ended out of their queue; who executes one, learns of the end by itself. */
  removeQueuedSteps(queue: string, runId: string): Promise<void>;
  /** Whether somebody drives the run, or executes a step of it. */
  isWorkedOn(queues: Pick<QueueNames, 'flows' | 'steps'>, runId: string): Promise<boolean>;
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

    async removeQueuedSteps(queue, runId) {
      await pool.query(
        `DELETE FROM ${queueSchema}.job j USING workflow.workflow_steps s
         WHERE s.run_id = $2 AND s.status IN ('pending', 'running')
           AND j.name = $1 AND coalesce(j.singleton_key, '') = s.step_id ${AS_IN_QUEUE} AND ${IS_OPEN} AND j.state < 'active'`,
        [queue, runId],
      );
    },

    isWorkedOn: async ({ flows, steps }, runId) => {
      const job = `SELECT FROM ${queueSchema}.job WHERE name = ANY ($1) AND group_id = $2 AND state = 'active' LIMIT 1`;
      return (await pool.query(job, [[flows, steps], runId])).rowCount === 1;
    },

    findLostSteps: (queue, stepIds) =>
      ids(
        `SELECT s.step_id AS id FROM workflow.workflow_steps s
         WHERE s.step_id = ANY ($2) AND s.status IN ('pending', 'running') AND NOT EXISTS (
           SELECT FROM ${queueSchema}.job j
           WHERE j.name = $1 AND coalesce(j.singleton_key, '') = s.step_id ${AS_IN_QUEUE} AND ${IS_OPEN})`,
        [queue, stepIds],
      ),
  };
}
