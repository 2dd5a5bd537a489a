import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { PgBoss } from 'pg-boss';
import { createQueues, type QueueNames } from './boss.ts';

const LOOK_INTERVAL_MS = 2_000;

/** undefined_table, invalid_schema_name */
const IS_GONE = /^(42P01|3F000)$/;

export interface KeepQueuesOptions {
  pool: Pool;
  boss: PgBoss;
  queueSchema: string;
  queues: readonly QueueNames[];
  log(line: string): void;
}

/**
 * Creates this process's queues, and creates them again whenever they were lost: dropped with their
 * schema, of which setup makes an empty one, or truncated. pg-boss itself remembers for a minute
 * that they are there, and its `send` then does nothing and reports no error.
 */
export async function keepQueues({ pool, boss, queueSchema, queues, log }: KeepQueuesOptions): Promise<Disposable> {
  const names = [...new Set(queues.flatMap((it) => [it.flows, it.steps, it.dead]))];
  const stopping = new AbortController();
  let isLost = false;

  const create = async () => {
    for (const pair of queues) await createQueues(boss, pair);
  };

  const look = async () => {
    const { rowCount } = await pool.query(`SELECT FROM ${queueSchema}.queue WHERE name = ANY ($1)`, [names]);
    if (rowCount === names.length && !isLost) return;
    await create();
    log('The queue is back: its runs go on.');
    isLost = false;
  };

  const complain = (error: unknown) => {
    // A database that is away comes back with its queues; the next look is soon.
    if (isLost || !IS_GONE.test((error as { code?: string }).code ?? '')) return;
    isLost = true;
    log(`The queue is gone: this database has no schema ${queueSchema}, or not all of it.`);
    log('  Run: npm run postgres-world:setup. This process waits, and goes on by itself.');
  };

  await create();
  void (async () => {
    while (!stopping.signal.aborted) {
      await delay(LOOK_INTERVAL_MS, undefined, { ref: false, signal: stopping.signal }).catch(() => undefined);
      if (!stopping.signal.aborted) await look().catch(complain);
    }
  })();
  return {
    [Symbol.dispose]: () => stopping.abort(),
  };
}
