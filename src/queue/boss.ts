import { createHash } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import { PgBoss, type Db, type QueueOptions } from 'pg-boss';
import type { WorldConfig } from '../config/config.ts';

/** Above the runtime's own 48 deliveries, after which it ends the run or step with a reason. */
const RETRY_LIMIT = 100;

/**
 * At most one job per key is queued or active, across all processes. `stately` and `singleton`,
 * which look made for this, stop the whole queue while the oldest key is active.
 */
const QUEUE_OPTIONS: QueueOptions & { policy: 'exclusive'; notify: true } = {
  policy: 'exclusive',
  notify: true,
  // No heartbeatSeconds: pg-boss would find lapsed ones by reading every job, and take them for lost
  // in the first moment after an outage. The sweep looks at the same heartbeats.
  expireInSeconds: 24 * 3600,
  retryLimit: RETRY_LIMIT,
  retryDelay: 1,
  retryBackoff: true,
  retryDelayMax: 60,
  // A wait may last for months; what finished is kept for the specification's statistics of the last hour.
  retentionSeconds: 5 * 365 * 24 * 3600,
  deleteAfterSeconds: 2 * 3600,
};

/**
 * As on the databases that have no advisory locks: any role that may connect could hold them, and no queue would be
 * created, no finished job removed. What they are for, our queues do not need: those are rows, not partitions.
 */
const WITHOUT_LOCKS = { __test__noAdvisoryLocks: true } as object;

/** A worker that works for a deployment takes the jobs of both its queues. */
export interface QueueNames {
  flows: string;
  steps: string;
  /** Of the whole prefix: a letter for each run that was given up. */
  dead: string;
}

export function queueNames(jobPrefix: string, deploymentId: string): QueueNames {
  return {
    flows: `${jobPrefix}flows.${deploymentId}`,
    steps: `${jobPrefix}steps.${deploymentId}`,
    dead: `${jobPrefix}dead`,
  };
}

/** pg-boss on our pool, its schema made by setup. Workers do its maintenance (worker.ts). */
export async function startBoss(
  pool: Pool,
  { queueSchema, verbose, log }: Pick<WorldConfig, 'queueSchema' | 'verbose' | 'log'>,
): Promise<PgBoss> {
  const boss = new PgBoss({
    db: onPool(pool),
    schema: queueSchema,
    migrate: false,
    createSchema: false,
    schedule: false,
    supervise: false,
    maintenanceIntervalSeconds: 600,
    ...WITHOUT_LOCKS,
  });
  // What it refreshes by itself, keepQueues looks at too.
  boss.on('error', ({ message }) => verbose && log(`pg-boss: ${message}`));
  boss.on('warning', ({ message }) => verbose && log(`pg-boss: ${message}`));
  try {
    return await boss.start();
  } catch (error) {
    await boss.stop({ graceful: false });
    throw error;
  }
}

export async function createQueues(boss: PgBoss, names: QueueNames): Promise<void> {
  for (const name of [names.flows, names.steps, names.dead]) await boss.createQueue(name, QUEUE_OPTIONS);
}

/** The `db` option of pg-boss, for statements on a pool or inside an open transaction. */
export function onPool(queryable: Pool | PoolClient): Db {
  return { executeSql: (text, values) => queryable.query(text, values) };
}

/** One for each queue that this process sends to. */
const preparedNames = new Map<string, string>();

/**
 * The same, prepared: for statements that would take longer to be planned than to be executed. Not those that
 * look for jobs: their plan would stay what it was when there were none.
 */
export function preparedOn(queryable: Pool | PoolClient): Db {
  return {
    executeSql(text, values) {
      const name = preparedNames.get(text) ?? `boss_${preparedNames.size}`;
      preparedNames.set(text, name);
      return queryable.query({ name, text, values: values ?? [] });
    },
  };
}

/** Where pg-boss announces new jobs; the payload is the queue's name. */
export function jobChannel(queueSchema: string): string {
  return `pgboss_${createHash('sha224').update(queueSchema).digest('hex').slice(0, 24)}`;
}

/** How many jobs a command of pg-boss changed: 0 for a job that is not ours any more. Its typings leave this out. */
export function affected(response: unknown): number {
  return (response as { affected: number }).affected;
}

/** The ids of the jobs that a command of pg-boss found to be ours. */
export function settled(response: unknown): string[] {
  return (response as { settled: string[] }).settled;
}
