import type { Socket } from 'node:net';
import { Client } from './client.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/** Longer than a setup waits for another one. */
const QUERY_TIMEOUT_MS = 120_000;

/** Runs `work` on a connection of its own. */
export async function withClient<T>(
  connectionString: string,
  purpose: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({
    connectionString,
    application_name: `postgres-world ${purpose}`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
  });
  // The statement under way reports it.
  client.on('error', () => undefined);
  await client.connect().catch((error: unknown) => {
    // Where pg itself gives up, as without a password, it leaves the connection to the server's patience: a minute.
    (client as Client & { connection: { stream: Socket } }).connection.stream.destroy();
    throw error;
  });
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
