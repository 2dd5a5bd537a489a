import { setTimeout as delay } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import type { PgBoss } from 'pg-boss';
import { notify } from '../postgres/listener.ts';
import { transaction } from '../postgres/pool.ts';
import { recordDeath } from '../postgres/deaths.ts';
import { lockRun, readWakeSeq, recordPark, type Parking } from '../postgres/run-progress.ts';
import { DATABASE_PATIENCE_MS, isUnreachable, retryTransient } from '../postgres/transient.ts';
import type { Lease } from '../runtime/scope.ts';
import { affected, onPool } from './boss.ts';
import { runIdOf, type JobData } from './messages.ts';
import type { OrphanedJob } from './orphaned-jobs.ts';
import { reasonOf } from './report.ts';

/** Tells the driver of the run in the payload to look again. */
export const WAKE_CHANNEL = 'workflow_wake';

const AFTER_OUTAGE_SECONDS = 1;

/** Not ours any more, or news in the meantime: the transaction was rolled back. */
class RolledBack extends Error {}

export interface Jobs {
  /**
   * Makes sure that a replay of the run begins after now. A loop, because each answer can be
   * outdated by the time of the next; every way out of it was true at one moment after the event.
   */
  wake(queue: string, runId: string, data: JobData): Promise<void>;
  /** Takes the steps of a run that has ended out of their queue; who executes one loses its lease. */
  cancelSteps(queue: string, runId: string): Promise<void>;
  /** Puts a step into its queue, unless it is there or being executed. */
  sendStep(queue: string, stepId: string, data: JobData, delaySeconds?: number): Promise<void>;
  /** Of the given steps, those that are not finished and have no job in the queue. */
  findLostSteps(queue: string, stepIds: readonly string[]): Promise<string[]>;
  /**
   * Gives the run's lease back, with a delayed job in its place if there is a timer.
   * @returns false, with nothing changed, if there are events that the driver has not seen
   */
  park(lease: Lease, runId: string, data: JobData, parking: Parking): Promise<boolean>;
  /** Replaces a job by a new one with the same key, due after `delaySeconds`. Does nothing if it is not ours any more. */
  replace(lease: Lease, key: string, data: JobData, delaySeconds?: number): Promise<void>;
  complete(lease: Lease): Promise<void>;
  /** Takes a job away from a holder that is gone, and makes it due. */
  takeAway(job: OrphanedJob): Promise<void>;
  /**
   * Lets a job that failed be fetched again, after pg-boss's growing delay. Where the database was to
   * blame, as a new one: else one that comes and goes would use up the deliveries, and fail the run.
   */
  retry(lease: Lease, key: string, data: JobData, reason: unknown): Promise<void>;
}

/** What is done with the jobs that are leases; see "The lease" in docs/ARCHITECTURE.md. */
export function createJobs(boss: PgBoss, pool: Pool, queueSchema: string): Jobs {
  const attemptOf = ({ jobId, retryCount }: Lease) => ({ id: jobId, retryCount });
  const patiently = <T>(work: () => Promise<T>) => retryTransient(work, DATABASE_PATIENCE_MS);

  const completeIn = async (client: PoolClient, lease: Lease) => {
    const response = await boss.complete(lease.queue, attemptOf(lease), undefined, { db: onPool(client) });
    if (affected(response) === 0) throw new RolledBack();
  };
  const send = (db: Pool | PoolClient, queue: string, key: string, data: JobData, delaySeconds = 0) =>
    boss.send(queue, data, {
      singletonKey: key,
      startAfter: delaySeconds,
      // pg-boss has an index of the active jobs that are in a group, which the sweep reads.
      group: { id: runIdOf(data) ?? key },
      db: onPool(db),
    });

  /** By the index that makes `exclusive` exclusive; `findJobs` would read the finished jobs too. */
  const isActive = async (queue: string, key: string) => {
    const { rowCount } = await pool.query(
      `SELECT FROM ${queueSchema}.job
       WHERE name = $1 AND coalesce(singleton_key, '') = $2 AND state = 'active' AND policy = 'exclusive'`,
      [queue, key],
    );
    return rowCount === 1;
  };

  const replace: Jobs['replace'] = async (lease, key, data, delaySeconds) => {
    await rolledBackIsFalse(() =>
      transaction(pool, async (client) => {
        await completeIn(client, lease);
        await send(client, lease.queue, key, data, delaySeconds);
      }),
    );
  };

  return {
    wake: (queue, runId, data) =>
      patiently(async () => {
        for (let turn = 1; ; turn += 1) {
          // Without its queue, which keepQueues creates again, none of the three ever succeeds.
          if (turn > 3) await delay(Math.min(turn * 10, 1_000));
          if ((await send(pool, queue, runId, data)) !== null) return;
          if ((await boss.update(queue, undefined, { singletonKey: runId, startAfter: 0 })).updated > 0) return;
          if (await isActive(queue, runId)) return notify(pool, WAKE_CHANNEL, runId);
        }
      }),

    async cancelSteps(queue, runId) {
      const { rows } = await pool.query<{ id: string }>(
        `SELECT j.id FROM workflow.workflow_steps s
         JOIN ${queueSchema}.job j ON j.name = $1 AND coalesce(j.singleton_key, '') = s.step_id
         WHERE s.run_id = $2 AND s.status IN ('pending', 'running')
           AND j.state <= 'active' AND j.policy = 'exclusive'`,
        [queue, runId],
      );
      if (rows.length > 0)
        await boss.cancel(
          queue,
          rows.map(({ id }) => id),
        );
    },

    async sendStep(queue, stepId, data, delaySeconds = 0) {
      await patiently(() => send(pool, queue, stepId, data, delaySeconds));
    },

    async findLostSteps(queue, stepIds) {
      const { rows } = await pool.query<{ step_id: string }>(
        `SELECT s.step_id FROM workflow.workflow_steps s
         WHERE s.step_id = ANY ($2) AND s.status IN ('pending', 'running') AND NOT EXISTS (
           SELECT FROM ${queueSchema}.job j
           WHERE j.name = $1 AND coalesce(j.singleton_key, '') = s.step_id
             AND j.state <= 'active' AND j.policy = 'exclusive')`,
        [queue, stepIds],
      );
      return rows.map(({ step_id }) => step_id);
    },

    park: (lease, runId, data, parking) =>
      rolledBackIsFalse(() =>
        patiently(() =>
          transaction(pool, async (client) => {
            // The row before the job, as in every event: the same order everywhere, so no deadlock.
            if ((await readWakeSeq(client, runId, 'FOR UPDATE')) !== parking.seenSeq) throw new RolledBack();
            await recordPark(client, runId, parking);
            await completeIn(client, lease);
            if (parking.delaySeconds !== undefined) await send(client, lease.queue, runId, data, parking.delaySeconds);
          }),
        ),
      ),

    replace,

    async complete(lease) {
      await patiently(() => boss.complete(lease.queue, attemptOf(lease)));
    },

    async takeAway({ queue, jobId, retryCount, key, runId }) {
      await rolledBackIsFalse(() =>
        transaction(pool, async (client) => {
          await lockRun(client, runId);
          const db = onPool(client);
          const reason = { message: 'its holder is gone' };
          const response = await boss.fail(queue, { id: jobId, retryCount }, reason, { db });
          // Its holder was alive after all, and has settled it.
          if (affected(response) === 0) throw new RolledBack();
          await recordDeath(client, runId, key);
          await boss.update(queue, undefined, { singletonKey: key, startAfter: 0, db });
        }),
      );
    },

    async retry(lease, key, data, reason) {
      if (isUnreachable(reason)) await patiently(() => replace(lease, key, data, AFTER_OUTAGE_SECONDS));
      else await patiently(() => boss.fail(lease.queue, attemptOf(lease), { message: reasonOf(reason) }));
    },
  };
}

async function rolledBackIsFalse(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof RolledBack) return false;
    throw error;
  }
}
