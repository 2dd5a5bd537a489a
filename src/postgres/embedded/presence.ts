import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';

/** Each process that uses the server keeps one connection of this name; the kernel closes those of the dead. */
export const PRESENCE = 'postgres-world presence';

const RECONNECT_DELAY_MS = 1_000;

export interface Presence {
  /** Ends it. Resolves with the number of others that use the server; undefined if it does not answer. */
  leave(): Promise<number | undefined>;
}

/** Counts this process among those that use the server, also after its connection was lost. */
export async function keepPresence(connect: () => Promise<Client>): Promise<Presence> {
  const leaving = new AbortController();
  let client = await connect();

  const reconnecting = (async () => {
    while (!leaving.signal.aborted) {
      await Promise.race([ended(client), aborted(leaving.signal)]);
      while (!leaving.signal.aborted) {
        const again = await connect().catch(() => undefined);
        if (again) {
          client = again;
          break;
        }
        await delay(RECONNECT_DELAY_MS, undefined, { signal: leaving.signal }).catch(() => undefined);
      }
    }
  })();

  return {
    async leave() {
      leaving.abort();
      await reconnecting;
      const others = await client
        .query<{ count: number }>(
          'SELECT count(*)::int FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()',
          [PRESENCE],
        )
        .catch(() => undefined);
      await client.end().catch(() => undefined);
      return others?.rows[0]?.count;
    },
  };
}

function ended(client: Client): Promise<void> {
  return new Promise((resolve) => void client.once('end', () => resolve()));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
