import type { Storage } from '@workflow/world';
import { createWorld as createStockWorld } from '@workflow/world-postgres';
import { createEvents, type EventsOptions } from './events.ts';
import { JoinedPool } from './joined-pool.ts';
import { patiently } from './patiently.ts';

/**
 * The storage of world-postgres, with one transaction per event.
 * @param opened takes what is to be closed at the end
 */
export function createStorage(
  options: Omit<EventsOptions, 'stock' | 'readRun'>,
  opened: AsyncDisposableStack,
): Storage {
  const stock = createStockWorld({ pool: new JoinedPool(options.pool), jobPrefix: options.jobPrefix });
  // Its storage is all that we use. Its stream reader has tried to listen; its queue, never started, would
  // drop a schema `pgboss`.
  const closed = stock.close?.().catch(() => undefined);
  opened.defer(() => closed);
  // One in a transaction is not to be made again by itself.
  const events = { ...askPatiently(stock.events), create: stock.events.create };
  const runs = askPatiently(stock.runs);
  const readRun = (runId: string) => runs.get(runId, { resolveData: 'all' });
  return {
    runs,
    steps: askPatiently(stock.steps),
    hooks: askPatiently(stock.hooks),
    events: createEvents({ ...options, stock: events, readRun }),
  };
}

/** Reads wait for a database that is away: the runtime makes them where nobody else could, as while a result is awaited. */
function askPatiently<T extends object>(reads: T): T {
  const waiting = Object.entries(reads).map(([name, read]) => {
    const ask = read as (...args: unknown[]) => Promise<unknown>;
    return [name, (...args: unknown[]) => patiently(() => ask(...args))];
  });
  return Object.fromEntries(waiting) as T;
}
