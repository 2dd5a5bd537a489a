import type { Pool } from 'pg';
import { patiently } from '../postgres/patiently.ts';
import { scopeOf } from '../runtime/scope.ts';

/** Whose a run never changes, so it is asked once; forgotten when there are so many. */
const MOST_REMEMBERED = 10_000;

/** `nobody`: there is no such run, or none yet. */
type Owner = 'us' | 'others' | 'nobody';

/** Which runs belong to this application: several may share a database, each with a job prefix. */
export interface OwnRuns {
  ownerOf(runId: string): Promise<Owner>;
  /** The prefix, as an SQL literal and for the parameters of a statement. */
  jobPrefix: string;
  /** Rows of a statement. */
  select<Row extends object>(sql: string, values: unknown[]): Promise<Row[]>;
}

export function createOwnRuns(pool: Pool, jobPrefix: string): OwnRuns {
  const ours = new Set<string>();
  const select = async <Row extends object>(sql: string, values: unknown[]) =>
    (await patiently(() => pool.query<Row>(sql, values))).rows;
  return {
    jobPrefix,
    select,
    async ownerOf(runId) {
      // Whoever drives it, or executes a step of it, has shown that by its lease.
      if (ours.has(runId) || scopeOf(runId)) return 'us';
      const [run] = await select<{ isOurs: boolean }>(
        'SELECT job_prefix = $2 AS "isOurs" FROM workflow_engine.run_progress WHERE run_id = $1',
        [runId, jobPrefix],
      );
      if (!run) return 'nobody';
      if (!run.isOurs) return 'others';
      if (ours.size >= MOST_REMEMBERED) ours.clear();
      ours.add(runId);
      return 'us';
    },
  };
}
