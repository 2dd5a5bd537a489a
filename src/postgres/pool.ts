import { Pool, Query, type Client as AnyClient, type ClientConfig, type PoolClient, type PoolConfig } from 'pg';
import { runOutsideOfScopes } from '../runtime/scope.ts';
import { Client } from './client.ts';
import { withOwnNames } from './own-names.ts';
import { POOLED_SETTINGS, SESSION_SETTINGS } from './session-settings.ts';
import { isOutdated, isUnreachable } from './transient.ts';

/**
 * No transaction may hold others up: a process that stops between two statements of one loses it
 * after these times, and whoever waits for its locks goes on. In the transaction, because a pooler
 * lends another session to the next one; in the same message as BEGIN, they cost no round trip.
 */
const TRANSACTION_SETTINGS = `
  SET LOCAL idle_in_transaction_session_timeout = '5s';
  SET LOCAL lock_timeout = '5s'`;

const CONNECT_PATIENCE_MS = 10_000;

/**
 * Whoever waits for a connection of the pool in vain has to queue up again, at the end: with the
 * patience of one that connects, some of a thousand runs that were started at once never got one.
 */
const POOL_PATIENCE_MS = 60_000;

/** How pg is to connect for anything that lasts. */
export function connectionOptions(connectionString: string): PoolConfig {
  return {
    connectionString,
    application_name: 'postgres-world',
    connectionTimeoutMillis: CONNECT_PATIENCE_MS,
    // A connection that was cut without a word would be waited for for a quarter of an hour.
    query_timeout: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}

function memberOf(Base: new (config?: ClientConfig) => AnyClient) {
  return class PoolMember extends Base {
    /** A pool has one patience for both, connecting and waiting for somebody else's connection. */
    constructor(config?: ClientConfig) {
      super({ ...config, connectionTimeoutMillis: CONNECT_PATIENCE_MS });
    }

    // Whoever needs it first, it serves others after that.
    override connect(...callback: unknown[]): never {
      const connect = super.connect as (...args: unknown[]) => unknown;
      return runOutsideOfScopes(() => connect.apply(this, callback)) as never;
    }
  };
}

const PoolMember = memberOf(Client);

const PooledMember = memberOf(withOwnNames({ Client, Query }));

/**
 * A pool whose sessions are set up, and whose lost idle connections do not end the process.
 * @param pooled whether its connections lead through a pooler, so that no session is theirs
 */
export function createPool(connectionString: string, maxPoolSize: number, pooled = false): Pool {
  const pool = new Pool({
    ...connectionOptions(connectionString),
    Client: pooled ? PooledMember : PoolMember,
    connectionTimeoutMillis: POOL_PATIENCE_MS,
    max: maxPoolSize,
    // pg awaits it, whatever its typings say.
    // oxlint-disable-next-line typescript/no-misused-promises
    onConnect: async (client) => {
      // Whoever holds the connection learns of its loss from the next statement.
      client.on('error', () => undefined);
      await client.query(pooled ? POOLED_SETTINGS : SESSION_SETTINGS);
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
    await client.query(`${begin}; ${TRANSACTION_SETTINGS}`);
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // A connection that cannot even roll back must not go back into the pool. One that was cut off
    // silently would be waited for once more.
    if (isUnreachable(error) || isOutdated(error)) broken = error as Error;
    else await client.query('ROLLBACK').catch((cause: Error) => (broken = cause));
    throw error;
  } finally {
    client.release(broken);
  }
}
