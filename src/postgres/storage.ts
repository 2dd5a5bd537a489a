import type { Storage } from '@workflow/world';
import { createWorld as createStockWorld } from '@workflow/world-postgres';
import { createEvents, type EventsOptions } from './events.ts';
import { JoinedPool } from './joined-pool.ts';

/** The storage of world-postgres, with one transaction per event. */
export function createStorage(options: Omit<EventsOptions, 'stock'>): Storage {
  const stock = createStockWorld({ pool: new JoinedPool(options.pool), jobPrefix: options.jobPrefix });
  // Its storage is all that we use. Its stream reader has opened a LISTEN session that would end the
  // process when it drops; closing stops that. Its queue, never started, would drop a schema `pgboss`.
  void stock.close?.().catch(() => undefined);
  const { runs, steps, hooks } = stock;
  return { runs, steps, hooks, events: createEvents({ ...options, stock: stock.events }) };
}
