import type { ClientBase } from 'pg';
import { ConfigError } from '../config/config.ts';

/** An arbitrary number; whoever holds this advisory lock is setting up the database, or says so. */
export const SETUP_LOCK = 7_205_759_403;

const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Any role that may connect can hold the lock: then somebody has to know whom to end.
 * @throws ConfigError that names the holder; any other error as it is
 */
export async function explainHeldLock(client: ClientBase, error: Error & { code?: string }): Promise<never> {
  if (error.code !== LOCK_NOT_AVAILABLE) throw error;
  await client.query('ROLLBACK');
  const { rows } = await client.query<{ pid: number; role: string; program: string }>(
    `SELECT a.pid, a.usename AS role, a.application_name AS program
     FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.datname = current_database()
       AND (l.classid::bigint << 32 | l.objid::bigint) = $1`,
    [SETUP_LOCK],
  );
  const holders = rows.map(
    ({ pid, role, program }) => `  process ${pid} of the role "${role}" (${program || 'no name'})`,
  );
  throw new ConfigError(
    [
      'Another setup has this database, or somebody who holds its lock. Nothing was changed.',
      ...holders,
      'If that is no setup, its end is: SELECT pg_terminate_backend(PROCESS);',
    ].join('\n'),
    // Without its cause, after which the same would be tried again.
  );
}
