import type { ClientBase, Pool } from 'pg';
import { JOB_LOCK_SEED } from './job-locks.ts';

/** Locks are taken 0.2 s after the fetch, by those who hold the job for longer than that; a busy process is late. */
const UNLOCKED_FOR = '1 second';

/** All locks went with the server; their holders need a moment to take them again. */
const SERVER_UP_FOR = '5 seconds';

/** Where nothing tells that a process has died: a hung one, a host that is cut off, a pooler. Refreshed every 3 s. */
const HEARTBEAT_LAPSES_AFTER = '10 seconds';

/** A worker that cannot lock says so; after this time it is taken for dead. */
const LAST_WORD = '1 minute';

/** An active job whose holder is gone. */
export interface OrphanedJob {
  queue: string;
  jobId: string;
  retryCount: number;
  /** Of the run, or of the step. */
  key: string;
  runId: string;
}

/** Of the World's queues; its parameter: the job prefix. */
const queuesOf = (queueSchema: string) =>
  `SELECT name FROM ${queueSchema}.queue WHERE starts_with(name, $1 || 'flows.') OR starts_with(name, $1 || 'steps.')`;

/** Jobs that look orphaned at this moment. `<> ALL (ARRAY(…))`, because as NOT EXISTS the planner reads `pg_locks` for each job. */
export async function findOrphanedJobs(
  client: ClientBase,
  jobPrefix: string,
  queueSchema: string,
): Promise<OrphanedJob[]> {
  const { rows } = await client.query<OrphanedJob>(
    `WITH queues AS (${queuesOf(queueSchema)}), locks_count AS (
       SELECT pg_postmaster_start_time() < now() - interval '${SERVER_UP_FOR}' AND NOT EXISTS (
         SELECT FROM workflow_engine.workers
         WHERE job_prefix = $1 AND NOT locks AND seen_at > now() - interval '${LAST_WORD}') AS yes
     )
     SELECT name AS queue, id AS "jobId", retry_count AS "retryCount", singleton_key AS key, group_id AS "runId"
     FROM ${queueSchema}.job
     WHERE name = ANY (ARRAY(SELECT name FROM queues)) AND state = 'active' AND group_id IS NOT NULL
       AND (heartbeat_on < now() - interval '${HEARTBEAT_LAPSES_AFTER}'
         OR started_on < now() - interval '${UNLOCKED_FOR}' AND (SELECT yes FROM locks_count)
           AND hashtextextended(id::text, ${JOB_LOCK_SEED}) <> ALL (ARRAY(
             SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
             WHERE locktype = 'advisory' AND objsubid = 1 AND granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))))`,
    [jobPrefix],
  );
  return rows;
}

/**
 * No job of ours is without its run as group, by which the index finds what is active. One that somebody else
 * wrote, under the key of a run perhaps, would keep that run from being driven if its holder dies with it.
 * With a group, the next sweep sees it. This reads every job, as pg-boss's maintenance does.
 */
export async function groupOrphans(pool: Pool | ClientBase, jobPrefix: string, queueSchema: string): Promise<void> {
  await pool.query(
    `UPDATE ${queueSchema}.job SET group_id = 'none'
     WHERE name = ANY (ARRAY(${queuesOf(queueSchema)})) AND state = 'active' AND group_id IS NULL
       AND heartbeat_on < now() - interval '${HEARTBEAT_LAPSES_AFTER}'`,
    [jobPrefix],
  );
}
