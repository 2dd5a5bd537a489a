import type { Pool } from 'pg';
import { HAS_ENDED, type Scope } from './removable.ts';

const JOBS_PER_STATEMENT = 1_000;

/**
 * Removes the finished jobs of runs that ended long ago, or are gone. pg-boss does so itself two
 * hours after they finish, but only while a worker runs. One pass by the primary key, because no
 * index leads from a run to its finished jobs.
 */
export async function pruneJobs(
  pool: Pool,
  { jobPrefix, queueSchema, endedBy }: Scope,
  dryRun: boolean,
  onRemoved: (jobs: number) => void,
): Promise<void> {
  const { rows: queues } = await pool.query<{ name: string }>(
    `SELECT name FROM ${queueSchema}.queue WHERE starts_with(name, $1) OR starts_with(name, $2)`,
    [`${jobPrefix}flows.`, `${jobPrefix}steps.`],
  );
  const remove = `DELETE FROM ${queueSchema}.job
    WHERE name = $2 AND id = ANY (ARRAY(SELECT id FROM old)) AND state > 'active' RETURNING id`;
  for (const { name } of queues) {
    let after = '00000000-0000-0000-0000-000000000000';
    for (;;) {
      const { rows } = await pool.query<{ last: string | null; jobs: number; removed: number }>(
        `WITH page AS (
           SELECT id, state, completed_on, coalesce(data #>> '{payload,workflowRunId}', data #>> '{payload,runId}') AS run_id
           FROM ${queueSchema}.job WHERE name = $2 AND id > $3::uuid ORDER BY id LIMIT ${JOBS_PER_STATEMENT}
         ), old AS (
           SELECT page.id FROM page LEFT JOIN workflow.workflow_runs r ON r.id = page.run_id
           WHERE page.state > 'active' AND page.run_id IS NOT NULL
             AND (r.id IS NULL AND page.completed_on <= $1::timestamp AT TIME ZONE 'UTC' OR ${HAS_ENDED})
         ), removed AS (${dryRun ? 'SELECT id FROM old' : remove})
         SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last,
                (SELECT count(*)::integer FROM page) AS jobs, (SELECT count(*)::integer FROM removed) AS removed`,
        [endedBy, name, after],
      );
      const { last, jobs, removed } = rows[0]!;
      onRemoved(removed);
      if (last === null || jobs < JOBS_PER_STATEMENT) break;
      after = last;
    }
  }
}
