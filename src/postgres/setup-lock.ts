import { setTimeout as delay } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { ConfigError } from '../config/config.ts';

/** An arbitrary number; whoever holds this advisory lock is setting up the database, or says so. */
const SETUP_LOCK = 7_205_759_403;

/** Behind whoever waits for a table, everybody queues: less than the five seconds that a worker waits for a lock. */
const LOCK_PATIENCE_MS = 2_000;
/** In which those go on who have queued. */
const PAUSE_MS = 2_000;

/** lock_not_available; and a deadlock, with a worker that has one of the tables and wants another. */
const HELD_UP = /^(55P03|40P01)$/;

/** One setup at a time: whoever waits for the other one holds nothing. */
export function lockOutSetups(patienceMs: number): string {
  return `SET LOCAL lock_timeout = ${Math.ceil(patienceMs)};
SELECT pg_advisory_xact_lock(${SETUP_LOCK});
SET LOCAL lock_timeout = ${LOCK_PATIENCE_MS}`;
}

/**
 * All that is there, before anything is changed: a statement that waits would hold what those before it have locked, and
 * what they have built would be lost if it waited in vain. Those that workers lock first come first. The time is one for all.
 */
export function lockTables(queueSchema: string): string {
  return `DO $$
DECLARE
  deadline timestamptz := clock_timestamp() + interval '${LOCK_PATIENCE_MS} ms';
  name text;
BEGIN
  FOR name IN
    SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('${queueSchema}', 'workflow_engine', 'workflow') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND pg_has_role(c.relowner, 'USAGE')
    ORDER BY array_position(ARRAY['${queueSchema}', 'workflow_engine', 'workflow'], n.nspname::text), c.oid
  LOOP
    PERFORM set_config('lock_timeout', greatest(1, ceil(extract(epoch FROM deadline - clock_timestamp()) * 1000))::text, true);
    EXECUTE 'LOCK TABLE ' || name || ' IN ACCESS EXCLUSIVE MODE';
  END LOOP;
  PERFORM set_config('lock_timeout', '${LOCK_PATIENCE_MS}', true);
END $$`;
}

export interface Patience {
  /** How long others are waited for who hold what setup needs. */
  patienceMs: number;
  /** Takes what a person should know meanwhile. */
  log: (line: string) => void;
}

/**
 * Makes the transaction of setup, again while others hold its tables: none of the waits is so long that workers would
 * notice, and between them they go on.
 * @param attempt the transaction; it gets the time that is left
 * @throws ConfigError that names who holds them, after all patience
 */
export async function whileHeldUp<T>(
  client: ClientBase,
  attempt: (patienceMs: number) => Promise<T>,
  { patienceMs, log }: Patience,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  const seconds = Math.round(patienceMs / 1_000);
  for (let said = ''; ;) {
    try {
      return await attempt(Math.max(1, deadline - performance.now()));
    } catch (error) {
      if (!HELD_UP.test((error as { code?: string }).code ?? '')) throw error;
      await client.query('ROLLBACK');
      const holders = await findHolders(client);
      if (performance.now() > deadline) {
        const message = `Somebody holds tables that setup needs, for ${seconds} s now. Nothing was changed.`;
        throw new ConfigError([message, ...holders, HOW_TO_END, '  Or wait for longer: -- --wait SECONDS'].join('\n'));
      }
      const line = [`Somebody holds tables that setup needs. Trying again, for ${seconds} s at most.`, ...holders].join(
        '\n',
      );
      if (line !== said) log(line);
      said = line;
    }
  }
}

const HOW_TO_END = '  What should not be there is ended by: SELECT pg_terminate_backend(PROCESS);';

/** Whose transaction has a table of ours before a pause, and still after it. */
async function findHolders(client: ClientBase): Promise<string[]> {
  const look = async () => {
    const { rows } = await client.query<Holder & { transaction: string }>(
      `SELECT DISTINCT l.virtualtransaction AS transaction, a.pid, coalesce(a.usename, a.backend_type) AS role, a.application_name AS program
       FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE l.locktype = 'relation' AND l.granted AND a.datname = current_database() AND a.pid <> pg_backend_pid()
         AND (n.nspname LIKE 'workflow%' OR c.relname IN ('job', 'job_common'))`,
    );
    return rows;
  };
  const before = new Set((await look()).map(({ transaction }) => transaction));
  await delay(PAUSE_MS);
  return (await look()).filter(({ transaction }) => before.has(transaction)).map(describeHolder);
}

interface Holder {
  pid: number;
  role: string;
  program: string;
}

function describeHolder({ pid, role, program }: Holder): string {
  return `  process ${pid} of the role "${role}" (${program || 'no name'})`;
}

/**
 * Any role that may connect can hold the lock of setups: then somebody has to know whom to end.
 * @throws ConfigError that names the holder; any other error as it is
 */
export async function explainHeldLock(client: ClientBase, error: Error & { code?: string }): Promise<never> {
  if (error.code !== '55P03') throw error;
  await client.query('ROLLBACK');
  const { rows } = await client.query<Holder>(
    `SELECT a.pid, a.usename AS role, a.application_name AS program
     FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.datname = current_database()
       AND (l.classid::bigint << 32 | l.objid::bigint) = $1`,
    [SETUP_LOCK],
  );
  // Without its cause, after which the same would be tried again.
  throw new ConfigError(
    [
      'Another setup has this database, or somebody who holds its lock. Nothing was changed.',
      ...rows.map(describeHolder),
      HOW_TO_END,
    ].join('\n'),
  );
}
