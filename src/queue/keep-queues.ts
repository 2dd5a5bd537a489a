import type { Pool } from 'pg';
import type { PgBoss } from 'pg-boss';
import { every } from '../health/every.ts';
import type { Health } from '../health/health.ts';
import { isGone } from '../postgres/conditions.ts';
import { createQueues, type QueueNames } from './boss.ts';

const LOOK_INTERVAL_MS = 2_000;

export interface KeepQueuesOptions {
  pool: Pool;
  boss: PgBoss;
  health: Health;
  queueSchema: string;
  queues: readonly QueueNames[];
}

/**
 * Creates this process's queues, and creates them again whenever they were lost: dropped with their
 * schema, of which setup makes an empty one, or truncated. pg-boss itself remembers for a minute
 * that they are there, and its `send` then does nothing and reports no error.
 */
export async function keepQueues(options: KeepQueuesOptions): Promise<Disposable> {
  const { pool, boss, health, queueSchema, queues } = options;
  const names = [...new Set(queues.flatMap((it) => [it.flows, it.steps, it.dead]))];
  let isLost = false;

  const create = async () => {
    for (const pair of queues) await createQueues(boss, pair);
  };

  const look = async () => {
    try {
      const { rowCount } = await pool.query(`SELECT FROM ${queueSchema}.queue WHERE name = ANY ($1)`, [names]);
      if (rowCount === names.length && !isLost) return;
      await create();
      isLost = false;
    } catch (error) {
      isLost ||= isGone(error);
      throw error;
    }
  };

  await create();
  return every(LOOK_INTERVAL_MS, health.of('Keeping the queues'), look);
}
