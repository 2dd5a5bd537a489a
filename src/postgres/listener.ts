import { EventEmitter } from 'node:events';
import type { Pool } from 'pg';
import type { Session } from './session.ts';

/** How often to look where nothing is ever announced. */
const BLIND_POLL_INTERVAL_MS = 250;

export interface Listener {
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
 * LISTEN, in a session that is kept. Only a hint: everybody who listens also polls.
 * @param session undefined where no notifications come through
 */
export function createListener(session: Session | undefined, channels: readonly string[]): Listener {
  if (!session) return { pollIntervalMs: BLIND_POLL_INTERVAL_MS, on: () => () => undefined };
  const notifications = new EventEmitter().setMaxListeners(0);
  session.prepare(async (client) => {
    for (const channel of channels) await client.query(`LISTEN "${channel}"`);
    client.on('notification', ({ channel, payload }) => notifications.emit(channel, payload));
    for (const channel of channels) notifications.emit(channel, undefined);
  });
  return {
    pollIntervalMs: Infinity,
    on(channel, callback) {
      notifications.on(channel, callback);
      return () => void notifications.off(channel, callback);
    },
  };
}

/** Sends a notification, in a transaction of its own: NOTIFY inside another one holds up its commit. */
export async function notify(pool: Pool, channel: string, payload: string): Promise<void> {
  await pool.query('SELECT pg_notify($1, $2)', [channel, payload]);
}
