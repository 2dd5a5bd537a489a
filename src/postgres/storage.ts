import type { Storage } from '@workflow/world';
import { createWorld as createStockWorld } from '@workflow/world-postgres';
import { createEvents, type EventsOptions } from './events.ts';
import { JoinedPool } from './joined-pool.ts';

interface StorageOptions extends Omit<EventsOptions, 'stock'> {
  /** Whether the pool's connections lead through a pooler. */
  pooled: boolean;
}

/**
 * The storage of world-postgres, with one transaction per event.
 * @param opened takes what is to be closed at the end
 */
export function createStorage({ pooled, ...options }: StorageOptions, opened: AsyncDisposableStack): Storage {
  const stock = createStockWorld({ pool: new JoinedPool(options.pool, pooled), jobPrefix: options.jobPrefix });
  // Its storage is all that we use. Its stream reader has opened a LISTEN session that would end the
  // process when it drops; closing stops that. Its queue, never started, would drop a schema `pgboss`.
  const closed = stock.close?.().catch(() => undefined);
  opened.defer(() => closed);
  const { runs, steps, hooks } = stock;
  return { runs, steps, hooks, events: createEvents({ ...options, stock: stock.events }) };
}
