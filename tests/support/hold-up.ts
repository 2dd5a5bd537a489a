import { Client } from 'pg';
import type { TestDatabase } from './database.ts';

/**
 * Lets everybody read a table, and nobody write to it; under `ACCESS EXCLUSIVE`, nobody read it either.
 * @returns what lets them go on
 */
export async function holdUp(
  { url }: TestDatabase,
  table: string,
  mode: 'SHARE' | 'ACCESS EXCLUSIVE' = 'SHARE',
): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: url });
  // The server may be taken away meanwhile.
  client.on('error', () => undefined);
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${table} IN ${mode} MODE`);
  return () => client.end();
}

/** The sessions that wait for it, by their statement, or in a function by the lock. */
export function heldUp({ query }: TestDatabase, table: string): Promise<{ pid: number }[]> {
  return query(
    `SELECT pid FROM pg_stat_activity a
     WHERE datname = current_database() AND wait_event_type = 'Lock' AND (query LIKE '%' || $1 || '%' OR EXISTS (
       SELECT FROM pg_locks l WHERE l.pid = a.pid AND NOT granted AND relation::regclass::text LIKE '%' || $1 || '%'))`,
    [table],
  );
}
