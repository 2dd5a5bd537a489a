import type { ClientBase, Pool } from 'pg';
import { AS_IN_QUEUE } from '../postgres/byte-order.ts';

export interface Scope {
  jobPrefix: string;
  queueSchema: string;
  /** Runs that ended by then, by the clock of the database: what PostgreSQL writes for a `timestamp` in UTC. */
  endedBy: string;
}

/** Of the run that is `r` in a statement; $1 is {@link Scope.endedBy}. */
export const HAS_ENDED = `r.status IN ('completed', 'failed', 'cancelled') AND r.completed_at <= $1::timestamp`;

/**
 * Those of the runs that may be removed: they ended long enough ago, their drivers have seen all
 * that happened, and no job of theirs is queued or being worked on. A queued one must keep its run,
 * because the first job of a run carries its input, and would begin the run once more.
 */
export async function findRemovable(
  db: Pool | ClientBase,
  { jobPrefix, queueSchema, endedBy }: Scope,
  runIds: readonly string[],
): Promise<string[]> {
  // By the index that makes `exclusive` exclusive; finished jobs are not in it.
  const liveJob = (queue: string, key: string) => `
    SELECT FROM ${queueSchema}.job j
    WHERE j.name = (p.job_prefix || '${queue}.' || p.deployment_id) ${AS_IN_QUEUE}
      AND coalesce(j.singleton_key, '') = ${key} ${AS_IN_QUEUE}
      AND j.state <= 'active' AND j.policy = 'exclusive'`;
  const { rows } = await db.query<{ id: string }>(
    `SELECT r.id FROM workflow_engine.run_progress p JOIN workflow.workflow_runs r ON r.id = p.run_id
     WHERE p.run_id = ANY ($2) AND p.job_prefix = $3 AND ${HAS_ENDED} AND p.wake_seq <= p.seen_seq
       AND NOT EXISTS (${liveJob('flows', 'p.run_id')})
       AND NOT EXISTS (
         SELECT FROM workflow.workflow_steps s WHERE s.run_id = p.run_id AND EXISTS (${liveJob('steps', 's.step_id')}))`,
    [endedBy, runIds, jobPrefix],
  );
  return rows.map(({ id }) => id);
}

/**
 * The same, and nobody else can touch them until the transaction ends. What somebody else has
 * locked is left alone: another prune removes it, or a late result is being written.
 */
export async function lockRemovable(client: ClientBase, scope: Scope, runIds: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    `SELECT run_id AS id FROM workflow_engine.run_progress WHERE run_id = ANY ($1)
     ORDER BY run_id FOR UPDATE SKIP LOCKED`,
    [runIds],
  );
  return findRemovable(
    client,
    scope,
    rows.map(({ id }) => id),
  );
}
