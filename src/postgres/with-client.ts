import type { Socket } from 'node:net';
import { Query, type Client as AnyClient } from 'pg';
import { Client } from './client.ts';
import { withOwnNames } from './own-names.ts';

const CONNECT_TIMEOUT_MS = 10_000;

const QUERY_TIMEOUT_MS = 120_000;

/** Whether its connections lead through a pooler is not known yet. */
const ClientWithOwnNames = withOwnNames({ Client, Query });

/** Runs `work` on a connection of its own. */
export async function withClient<T>(
  connectionString: string,
  purpose: string,
  work: (client: AnyClient) => Promise<T>,
  patienceMs = QUERY_TIMEOUT_MS,
): Promise<T> {
  const client = new ClientWithOwnNames({
    connectionString,
    application_name: `postgres-world ${purpose}`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: patienceMs,
  });
  // The statement under way reports it.
  client.on('error', () => undefined);
  await client.connect().catch((error: unknown) => {
    // Where pg itself gives up, as without a password, it leaves the connection to the server's patience: a minute.
    (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
    throw error;
  });
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
