/**
 * Removes old runs in small transactions. The row of a run goes together with the last of what
 * belongs to it: while there is anything of a run, its row says that it has ended. What others see,
 * and what is left when this process dies:
 *
 * - After the jobs, before the runs: whole runs, whose finished jobs nobody needs.
 * - Between two batches: each run whole, or not found. A reader gets all of its stream, or its end.
 * - Within a run of more than ROWS_PER_TRANSACTION rows: the ended run with its result, and less and
 *   less below it. First its streams get shorter, each the beginning and an end at every moment;
 *   then its log has holes, which nobody replays any more.
 * - In a transaction: what there was before it.
 *
 * The next prune finds the rest and goes on. Two at once lock different runs. A late result of a
 * step is refused, a late job of a run completes without doing anything, and late chunks are removed
 * by a prune on another day.
 */
import type { Pool, PoolClient } from 'pg';
import { transaction } from '../postgres/pool.ts';
import { DATABASE_PATIENCE_MS, retryTransient } from '../postgres/transient.ts';
import { pruneJobs } from './prune-jobs.ts';
import { pruneLeftovers } from './prune-leftovers.ts';
import { findRemovable, HAS_ENDED, lockRemovable, type Scope } from './removable.ts';
import { shrinkRun } from './shrink-run.ts';
import { deleteRuns, KINDS, measureRuns, noCounts, type Counts, type RunSize } from './tables.ts';

const RUNS_PER_PAGE = 1_000;
const RUNS_PER_TRANSACTION = 100;
const ROWS_PER_TRANSACTION = 5_000;

/** Lost with a crash of the server, it is done again by the next prune. */
const BEGIN = 'BEGIN; SET LOCAL synchronous_commit = off';

export interface PruneOptions {
  jobPrefix: string;
  queueSchema: string;
  /** Since the run ended, by the clock of the database. 0: every run that has ended. */
  olderThanSeconds: number;
  /** Count, and remove nothing. */
  dryRun: boolean;
  /** Called with what was removed, or counted, so far. */
  onProgress?(removed: Readonly<Counts>): void;
  /** Ends it between two transactions, with the signal's reason. */
  signal?: AbortSignal;
}

export interface PruneReport {
  /** What was removed; what would have been, in a dry run. */
  removed: Counts;
  /** Runs that ended long enough ago, but have a job that is queued or being worked on. */
  keptRuns: number;
}

/** Removes the runs of a job prefix that ended long ago, with everything that belongs to them, in small transactions. */
export async function pruneRuns(pool: Pool, options: PruneOptions): Promise<PruneReport> {
  const { jobPrefix, queueSchema, olderThanSeconds, dryRun, signal } = options;
  const { endedBy, endedByMs } = await readCutoff(pool, olderThanSeconds);
  const scope: Scope = { jobPrefix, queueSchema, endedBy };
  const removed = noCounts();
  let keptRuns = 0;

  const note = (counts: Partial<Counts>) => {
    for (const kind of KINDS) removed[kind] += counts[kind] ?? 0;
    options.onProgress?.(removed);
    signal?.throwIfAborted();
  };
  const inTransaction = <T>(work: (client: PoolClient) => Promise<T>) =>
    retryTransient(() => transaction(pool, work, BEGIN), DATABASE_PATIENCE_MS, signal);

  const removeBatch = async (runIds: string[]) => {
    const counts = await inTransaction(async (client) =>
      deleteRuns(client, await lockRemovable(client, scope, runIds)),
    );
    note(counts);
  };
  const shrink = async (runId: string) => {
    for (;;) {
      const counts = await inTransaction(async (client) => {
        const [ours] = await lockRemovable(client, scope, [runId]);
        return ours && shrinkRun(client, ours, ROWS_PER_TRANSACTION);
      });
      if (!counts) return;
      note(counts);
    }
  };

  await pruneJobs(pool, scope, dryRun, (jobs) => note({ jobs }));
  for await (const page of findEnded(pool, scope)) {
    const removable = await findRemovable(pool, scope, page);
    keptRuns += page.length - removable.length;
    const sizes = await measureRuns(pool, removable, dryRun ? undefined : ROWS_PER_TRANSACTION + 1);
    if (dryRun) for (const { counts } of sizes) note(counts);
    else {
      for (const batch of intoBatches(sizes)) {
        if (isLarge(batch[0]!)) await shrink(batch[0]!.runId);
        await removeBatch(batch.map(({ runId }) => runId));
      }
    }
  }
  await pruneLeftovers(pool, endedByMs, dryRun, (streamChunks) => note({ streamChunks }));
  return { removed, keptRuns };
}

/**
 * The ended runs of the prefix, page by page along the primary key: one pass over it, whatever the
 * share of those that are kept. `workflow_runs` has an index on the status, but not on the time, and
 * would be read again and again.
 */
async function* findEnded(pool: Pool, { jobPrefix, endedBy }: Scope): AsyncGenerator<string[]> {
  let after = '';
  for (;;) {
    const { rows } = await pool.query<{ id: string; ended: boolean }>(
      `SELECT p.run_id AS id, coalesce(p.job_prefix = $2 AND ${HAS_ENDED}, false) AS ended
       FROM (SELECT run_id, job_prefix FROM workflow_engine.run_progress
             WHERE run_id > $3 ORDER BY run_id LIMIT ${RUNS_PER_PAGE}) AS p
       LEFT JOIN workflow.workflow_runs r ON r.id = p.run_id
       ORDER BY p.run_id`,
      [endedBy, jobPrefix, after],
    );
    const ended = rows.filter((row) => row.ended).map(({ id }) => id);
    if (ended.length > 0) yield ended;
    if (rows.length < RUNS_PER_PAGE) return;
    after = rows.at(-1)!.id;
  }
}

/** A run that is large comes alone. */
function intoBatches(sizes: readonly RunSize[]): RunSize[][] {
  const batches: RunSize[][] = [];
  let room = { runs: 0, rows: 0 };
  for (const size of sizes) {
    if (room.runs < 1 || room.rows < size.rows) {
      batches.push([]);
      room = { runs: RUNS_PER_TRANSACTION, rows: ROWS_PER_TRANSACTION };
    }
    batches.at(-1)!.push(size);
    room = { runs: room.runs - 1, rows: room.rows - size.rows };
  }
  return batches;
}

function isLarge({ rows }: RunSize): boolean {
  return rows > ROWS_PER_TRANSACTION;
}

async function readCutoff(pool: Pool, olderThanSeconds: number): Promise<{ endedBy: string; endedByMs: number }> {
  const { rows } = await pool.query<{ endedBy: string; endedByMs: number }>(
    `SELECT (at AT TIME ZONE 'UTC')::text AS "endedBy", floor(extract(epoch FROM at) * 1000)::float8 AS "endedByMs"
     FROM (SELECT now() - make_interval(secs => $1) AS at) AS cutoff`,
    [olderThanSeconds],
  );
  return rows[0]!;
}
