import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, type Pool } from 'pg';
import { connectionOptions } from './pool.ts';

const RECONNECT_DELAY_MS = 500;

/** Whoever only listens would never learn that nobody is there any more. */
const PING_INTERVAL_MS = 10_000;

/** How often to look where nothing is ever announced. */
const BLIND_POLL_INTERVAL_MS = 250;

export interface Listener extends AsyncDisposable {
  /** The longest that anybody may sleep between two looks: infinite, unless there are no notifications. */
  readonly pollIntervalMs: number;
  /**
   * Calls back with the payload of each notification on `channel`, and with `undefined` after a
   * reconnect, when any number of them may have been missed.
   * @returns stops it
   */
  on(channel: string, callback: (payload: string | undefined) => void): () => void;
}

/**
 * LISTEN on a connection of its own that is opened again whenever it drops (vercel/workflow #1855).
 * Only a hint: everybody who listens also polls.
 * @param connectionString undefined where no notifications come through
 */
export function createListener(connectionString: string | undefined, channels: readonly string[]): Listener {
  if (connectionString === undefined) {
    return {
      pollIntervalMs: BLIND_POLL_INTERVAL_MS,
      on: () => () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const notifications = new EventEmitter().setMaxListeners(0);
  const stopping = new AbortController();
  let client: Client | undefined;

  async function listenUntilLost(): Promise<void> {
    const connection = new Client({
      ...connectionOptions(connectionString!),
      application_name: 'postgres-world listener',
    });
    client = connection;
    const { promise: lost, resolve: lose } = Promise.withResolvers<void>();
    connection.on('end', lose).on('error', () => lose());
    const pinging = setInterval(() => void connection.query('SELECT').catch(() => lose()), PING_INTERVAL_MS);
    try {
      await connection.connect();
      for (const channel of channels) await connection.query(`LISTEN "${channel}"`);
      connection.on('notification', ({ channel, payload }) => notifications.emit(channel, payload));
      for (const channel of channels) notifications.emit(channel, undefined);
      if (!stopping.signal.aborted) await lost;
    } finally {
      clearInterval(pinging);
      await connection.end().catch(() => undefined);
    }
  }

  const listening = (async () => {
    while (!stopping.signal.aborted) {
      await listenUntilLost().catch(() => undefined);
      await delay(RECONNECT_DELAY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();

  return {
    pollIntervalMs: Infinity,
    on(channel, callback) {
      notifications.on(channel, callback);
      return () => void notifications.off(channel, callback);
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await client?.end().catch(() => undefined);
      await listening;
    },
  };
}

/** Sends a notification, in a transaction of its own: NOTIFY inside another one holds up its commit. */
export async function notify(pool: Pool, channel: string, payload: string): Promise<void> {
  await pool.query('SELECT pg_notify($1, $2)', [channel, payload]);
}
