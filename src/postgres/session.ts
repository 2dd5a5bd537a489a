import { setTimeout as delay } from 'node:timers/promises';
import { Client } from './client.ts';
import type { TaskHealth } from '../health/health.ts';
import { connectionOptions } from './pool.ts';
import { SESSION_SETTINGS } from './session-settings.ts';

const RECONNECT_DELAY_MS = 500;
const CLOSE_PATIENCE_MS = 1_000;

/** Finds out that nobody is there any more, where the network cuts a connection without a word. */
const PING_INTERVAL_MS = 5_000;
/** Less than the time that a new job may be without its lock. */
const ANSWER_PATIENCE_MS = 1_500;

export interface Session extends AsyncDisposable {
  readonly isOpen: boolean;
  /** Called with each new connection before it counts as open, and with the one that is open now. */
  prepare(work: (client: Client) => Promise<unknown>): void;
  /** Called whenever `isOpen` has changed. Returns what stops that. */
  onChange(callback: () => void): () => void;
  /** @throws Error while it is not open. A statement that fails ends the session: another one is opened. */
  query(text: string, values: unknown[]): Promise<unknown>;
}

/**
 * A connection for what lives as long as a session does: LISTEN, and the locks that say that this
 * process is alive. Opened again whenever it drops (vercel/workflow #1855).
 */
export function keepSession(connectionString: string, health: TaskHealth): Session {
  const preparations: ((client: Client) => Promise<unknown>)[] = [];
  const callbacks = new Set<() => void>();
  const stopping = new AbortController();
  let open: Client | undefined;

  const setOpen = (client: Client | undefined) => {
    if (open === client) return;
    open = client;
    for (const callback of callbacks) callback();
  };

  /** @returns whether it was open for a while */
  async function connectUntilLost(): Promise<boolean> {
    const client = new Client({
      ...connectionOptions(connectionString),
      query_timeout: ANSWER_PATIENCE_MS,
      application_name: 'postgres-world session',
    });
    const { promise: lost, resolve: lose } = Promise.withResolvers<void>();
    client.on('end', lose);
    client.on('error', () => lose());
    const onStop = () => lose();
    stopping.signal.addEventListener('abort', onStop);
    try {
      const connecting = client.connect();
      connecting.catch(() => undefined);
      await Promise.race([connecting, lost]);
      if (stopping.signal.aborted) return false;
      // It fails where the connection was lost before it was made.
      await connecting;
      await client.query(SESSION_SETTINGS);
      // By index: one that is added meanwhile is run too.
      for (let n = 0; n < preparations.length; n += 1) await preparations[n]!(client);
      if (stopping.signal.aborted) return false;
      setOpen(client);
      health.worked();
      await Promise.race([lost, pingUntilLost(client, lost)]);
      return true;
    } finally {
      stopping.signal.removeEventListener('abort', onStop);
      setOpen(undefined);
      // One that was cut off would never end.
      await Promise.race([client.end().catch(() => undefined), delay(CLOSE_PATIENCE_MS, undefined, { ref: false })]);
    }
  }

  const keeping = (async () => {
    for (let failures = 0; !stopping.signal.aborted;) {
      const wasOpen = await connectUntilLost().catch((error: unknown) => {
        failures += 1;
        // A busy machine may be too late for one answer.
        if (failures > 1 && !stopping.signal.aborted) health.failed(error);
        return false;
      });
      if (wasOpen) failures = 0;
      // At once, the first time: without it, others may take this process for dead.
      if (!wasOpen) await delay(RECONNECT_DELAY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();

  return {
    get isOpen() {
      return open !== undefined;
    },
    prepare(work) {
      preparations.push(work);
      const client = open;
      if (client) void work(client).catch(() => drop(client));
    },
    onChange(callback) {
      callbacks.add(callback);
      return () => void callbacks.delete(callback);
    },
    async query(text, values) {
      const client = open;
      if (!client) throw new Error('The session is not open.');
      try {
        return await client.query(text, values);
      } catch (error) {
        drop(client);
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await keeping;
    },
  };
}

/** Its `end` event opens another. */
function drop(client: Client): void {
  client.end().catch(() => undefined);
}

async function pingUntilLost(client: Client, lost: Promise<void>): Promise<void> {
  const ended = lost.then(() => true);
  while (!(await Promise.race([ended, delay(PING_INTERVAL_MS, false, { ref: false })]))) {
    try {
      await client.query('SELECT');
    } catch {
      return;
    }
  }
}
