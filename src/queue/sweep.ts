import type { ClientBase, Pool } from 'pg';
import { every, type Repeated } from '../health/every.ts';
import type { Health } from '../health/health.ts';
import { transaction } from '../postgres/pool.ts';
import { findForgottenRuns, type ForgottenRun } from './forgotten-runs.ts';
import { findOrphanedJobs, type OrphanedJob } from './orphaned-jobs.ts';
import { createSeenAgain } from './seen-again.ts';

const SWEEP_INTERVAL_MS = 500;

/** The lock of a row is written, too, and need not reach the disk. */
const BEGIN = 'BEGIN; SET LOCAL synchronous_commit = off';

/** Whoever could not look for so long was cut off, and with it perhaps everybody whose job seems orphaned. */
const BLIND_AFTER_MS = 3_000;
const AFTER_BLINDNESS_MS = 10_000;

export interface SweepOptions {
  pool: Pool;
  health: Health;
  jobPrefix: string;
  queueSchema: string;
  /** Makes sure that somebody drives a run that has something to do. */
  wake(run: ForgottenRun): Promise<void>;
  /** Takes jobs of one run away from holders that are gone. */
  takeAway(runId: string, jobs: readonly OrphanedJob[]): Promise<void>;
}

/** Looks for what everybody else has missed, or left behind when they died. */
export function startSweep(options: SweepOptions): Repeated {
  const { pool, health, jobPrefix, queueSchema, wake, takeAway } = options;
  const runsSeenAgain = createSeenAgain<ForgottenRun>(({ runId }) => runId);
  const jobsSeenAgain = createSeenAgain<OrphanedJob>(({ jobId, retryCount }) => `${jobId}:${retryCount}`);
  let lastLook = performance.now();
  let trustFrom = 0;
  let failure: unknown;

  const waking = new Set<string>();
  /** Not waited for: a run of other code, whose queue is gone, must not keep us from looking again. */
  const wakeOnce = (run: ForgottenRun) => {
    if (waking.has(run.runId)) return;
    waking.add(run.runId);
    void wake(run)
      .catch((error: unknown) => (failure = error))
      .finally(() => waking.delete(run.runId));
  };

  async function sweep(): Promise<void> {
    const found = await transaction(
      pool,
      async (client) => {
        const isOurs = await tryLock(client, jobPrefix);
        const now = performance.now();
        if (now - lastLook > BLIND_AFTER_MS) trustFrom = now + AFTER_BLINDNESS_MS;
        lastLook = now;
        if (!isOurs) return undefined;
        return {
          runs: runsSeenAgain(await findForgottenRuns(client, jobPrefix, queueSchema)),
          jobs: now < trustFrom ? [] : jobsSeenAgain(await findOrphanedJobs(client, jobPrefix, queueSchema)),
        };
      },
      BEGIN,
    );
    if (!found) return;
    // What a run lost at the same time, it lost by the same death.
    const orphans = [...Map.groupBy(found.jobs, ({ runId }) => runId)];
    for (const run of found.runs) wakeOnce(run);
    const taking = await Promise.allSettled(orphans.map(([runId, jobs]) => takeAway(runId, jobs)));
    for (const taken of taking) if (taken.status === 'rejected') failure = taken.reason;
    if (failure === undefined) return;
    const error = failure;
    failure = undefined;
    throw error;
  }

  return every(SWEEP_INTERVAL_MS, health.of('The sweep'), sweep);
}

/**
 * One worker at a time sweeps, per job prefix: who has this row, until its transaction ends. Not an advisory lock,
 * which any role that may connect can hold for ever.
 */
async function tryLock(client: ClientBase, jobPrefix: string): Promise<boolean> {
  const lock = 'SELECT FROM workflow_engine.sweeps WHERE job_prefix = $1 FOR UPDATE SKIP LOCKED';
  if ((await client.query(lock, [jobPrefix])).rowCount === 1) return true;
  // Another one has it, or it is not there yet.
  const insert = 'INSERT INTO workflow_engine.sweeps (job_prefix) VALUES ($1) ON CONFLICT DO NOTHING';
  return (await client.query(insert, [jobPrefix])).rowCount === 1;
}
