import { Pool, type PoolClient } from 'pg';

/**
 * No session may hold others up: a process that stops between two statements of a transaction
 * loses it after these times, and whoever waits for its locks goes on. UTC, because
 * world-postgres keeps times without a zone and writes them from both clocks.
 */
const SESSION_SETTINGS = `
  SET TIME ZONE 'UTC';
  SET idle_in_transaction_session_timeout = '5s';
  SET lock_timeout = '5s'`;

/** A pool whose sessions are set up, and whose lost idle connections do not end the process. */
export function createPool(connectionString: string, maxPoolSize: number): Pool {
  const pool = new Pool({
    connectionString,
    max: maxPoolSize,
    application_name: 'postgres-world',
    connectionTimeoutMillis: 10_000,
    // A connection that was cut without a word would be waited for for a quarter of an hour.
    query_timeout: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    // pg awaits it, whatever its typings say.
    // oxlint-disable-next-line typescript/no-misused-promises
    onConnect: async (client) => {
      // Whoever holds the connection learns of its loss from the next statement.
      client.on('error', () => undefined);
      await client.query(SESSION_SETTINGS);
    },
  });
  // The pool has removed the connection already; the next statement opens another.
  pool.on('error', () => undefined);
  return pool;
}

/**
 * Runs `work` in one transaction on a connection of its own.
 * @param begin the statement that opens it, for transactions with settings of their own
 */
export async function transaction<T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
  begin = 'BEGIN',
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(begin);
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // A connection that cannot even roll back must not go back into the pool.
    await client.query('ROLLBACK').catch((cause: Error) => (broken = cause));
    throw error;
  } finally {
    client.release(broken);
  }
}
