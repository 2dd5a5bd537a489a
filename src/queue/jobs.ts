import { setTimeout as delay } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import type { PgBoss } from 'pg-boss';
import { createBatches } from '../postgres/batches.ts';
import { notify } from '../postgres/listener.ts';
import { transaction } from '../postgres/pool.ts';
import { recordDeath } from '../postgres/deaths.ts';
import { reasonOf } from '../postgres/reason.ts';
import { lockLease, lockRun, recordPark, type Parking } from '../postgres/run-progress.ts';
import { isTransient, retryTransient } from '../postgres/transient.ts';
import { patiently } from '../postgres/patiently.ts';
import { LeaseLostError, type Lease } from '../runtime/scope.ts';
import { affected, onPool } from './boss.ts';
import { createJobTable, type JobTable } from './job-table.ts';
import type { DeadLetter, JobData } from './messages.ts';
import type { OrphanedJob } from './orphaned-jobs.ts';
import { createSender, type Message } from './send-jobs.ts';

/** Tells the driver of the run in the payload to look again. */
export const WAKE_CHANNEL = 'workflow_wake';

const AFTER_OUTAGE_SECONDS = 1;

/** Of the three seconds that a worker has to stop. */
const HAND_BACK_PATIENCE_MS = 2_000;

/** For whoever looks for what went wrong; then pg-boss removes it. */
const KEEP_DEAD_LETTERS_SECONDS = 90 * 24 * 3600;

/** Not ours any more, or news in the meantime: the transaction was rolled back. */
class RolledBack extends Error {}

export interface Jobs extends JobTable {
  /**
   * Makes sure that a replay of the run begins after now. A loop, because each answer can be
   * outdated by the time of the next; every way out of it was true at one moment after the event.
   */
  wake(queue: string, runId: string, data: JobData): Promise<void>;
  /**
   * Puts steps into their queue, but for those that are there or being executed.
   * @param driver the run's lease, when its driver sends: one that was stopped for a while would else
   *   send a step that the next driver has just created, and executes itself
   * @throws LeaseLostError when that lease is gone
   */
  sendSteps(queue: string, steps: readonly Message[], delaySeconds?: number, driver?: Lease): Promise<void>;
  /** The same for one step. */
  sendStep(queue: string, stepId: string, data: JobData, delaySeconds?: number, driver?: Lease): Promise<void>;
  /**
   * Gives the run's lease back, with a delayed job in its place if there is a timer.
   * @returns false, with nothing changed, if there are events that the driver has not seen
   */
  park(lease: Lease, runId: string, data: JobData, parking: Parking): Promise<boolean>;
  /** Replaces a job by a new one with the same key, due after `delaySeconds`. Does nothing if it is not ours any more. */
  replace(lease: Lease, key: string, data: JobData, delaySeconds?: number): Promise<void>;
  /**
   * Replaces a job that is perhaps not ours any more, however long the database is away: after an
   * outage it mostly is, and nobody is to take its holder for dead.
   */
  giveBack(lease: Lease, key: string, data: JobData): Promise<void>;
  /** The same for a process that stops: it cannot wait for long. */
  handBack(lease: Lease, key: string, data: JobData): Promise<void>;
  complete(lease: Lease): Promise<void>;
  /** The same after the last event of a run, for several at once: nothing but a slot waits for it. */
  completeEnded(lease: Lease): Promise<void>;
  /** One for each run, however often it is called. */
  sendDeadLetter(queue: string, runId: string, letter: DeadLetter): Promise<void>;
  /** Takes jobs of a run away from holders that are gone, and makes them due. */
  takeAway(runId: string, orphans: readonly OrphanedJob[]): Promise<void>;
  /**
   * Lets a job that failed be fetched again, after pg-boss's growing delay. Where the database was to
   * blame, as a new one: else one that comes and goes would use up the deliveries, and fail the run.
   */
  retry(lease: Lease, key: string, data: JobData, reason: unknown): Promise<void>;
}

/** What is done with the jobs that are leases; see "The lease" in docs/ARCHITECTURE.md. */
export function createJobs(boss: PgBoss, pool: Pool, queueSchema: string): Jobs {
  const table = createJobTable(pool, queueSchema);
  const { send, sendIn } = createSender(boss, pool);
  const attemptOf = ({ jobId, retryCount }: Lease) => ({ id: jobId, retryCount });

  const completeIn = async (client: PoolClient, lease: Lease) => {
    const response = await boss.complete(lease.queue, attemptOf(lease), undefined, { db: onPool(client) });
    if (affected(response) === 0) throw new RolledBack();
  };
  const completeAll = async (leases: Lease[]) => {
    await boss.complete(leases[0]!.queue, leases.map(attemptOf));
    return leases.map(() => undefined);
  };
  const completions = createBatches(completeAll, { patienceMs: 1_000 });
  const endings = createBatches(completeAll, { patienceMs: 1_000, gatherMs: 50 });

  const replace: Jobs['replace'] = async (lease, key, data, delaySeconds) => {
    await rolledBackIsFalse(() =>
      transaction(pool, async (client) => {
        await completeIn(client, lease);
        await sendIn(client, lease.queue, [{ key, data }], delaySeconds);
      }),
    );
  };

  const sendSteps: Jobs['sendSteps'] = (queue, steps, delaySeconds, driver) =>
    patiently(() =>
      transaction(pool, async (client) => {
        if (driver && !(await lockLease(client, queueSchema, driver)))
          throw new LeaseLostError('steps not sent: the lease of their run is gone');
        await sendIn(client, queue, steps, delaySeconds);
      }),
    );

  return {
    ...table,

    wake: (queue, runId, data) =>
      patiently(async () => {
        for (let turn = 1; ; turn += 1) {
          // Without its queue, which keepQueues creates again, none of the three ever succeeds.
          if (turn > 3) await delay(Math.min(turn * 10, 1_000));
          if (await send(queue, { key: runId, data })) return;
          if ((await boss.update(queue, undefined, { singletonKey: runId, startAfter: 0 })).updated > 0) return;
          if (await table.isActive(queue, runId)) return notify(pool, WAKE_CHANNEL, runId);
        }
      }),

    sendSteps,

    sendStep: (queue, stepId, data, delaySeconds, driver) =>
      sendSteps(queue, [{ key: stepId, data }], delaySeconds, driver),

    park: (lease, runId, data, parking) =>
      rolledBackIsFalse(() =>
        patiently(() =>
          transaction(pool, async (client) => {
            // The row before the job, as in every event: the same order everywhere, so no deadlock.
            if (!(await recordPark(client, runId, parking))) throw new RolledBack();
            await completeIn(client, lease);
            const { delaySeconds } = parking;
            if (delaySeconds !== undefined) await sendIn(client, lease.queue, [{ key: runId, data }], delaySeconds);
          }),
        ),
      ),

    replace,

    handBack: (lease, key, data) => retryTransient(() => replace(lease, key, data), HAND_BACK_PATIENCE_MS),

    giveBack: (lease, key, data) => retryTransient(() => replace(lease, key, data), Infinity),

    complete: (lease) => patiently(() => completions(lease.queue, lease)),

    completeEnded: (lease) => patiently(() => endings(lease.queue, lease)),

    async sendDeadLetter(queue, runId, letter) {
      const options = { singletonKey: runId, group: { id: runId }, retentionSeconds: KEEP_DEAD_LETTERS_SECONDS };
      await patiently(() => boss.send(queue, letter, options));
    },

    async takeAway(runId, orphans) {
      await transaction(pool, async (client) => {
        await lockRun(client, runId);
        let taken = 0;
        for (const { queue, jobId, retryCount, key } of orphans) {
          const options = { db: onPool(client) };
          const response = await boss.fail(
            queue,
            { id: jobId, retryCount },
            { message: 'its holder is gone' },
            options,
          );
          // Its holder was alive after all, and has settled it.
          if (affected(response) === 0) continue;
          taken += 1;
          await boss.update(queue, undefined, { singletonKey: key, startAfter: 0, ...options });
        }
        if (taken > 0) await recordDeath(client, runId);
      });
    },

    async retry(lease, key, data, reason) {
      if (isTransient(reason)) await patiently(() => replace(lease, key, data, AFTER_OUTAGE_SECONDS));
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
