import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';

/** Writes an item with others of its key; resolves to what was written for it. */
export type Batches<Item, Written> = (key: object | string, item: Item) => Promise<Written>;

export interface BatchOptions<Item> {
  /** Bytes that an item needs in a statement, by estimate. */
  sizeOf?(item: Item): number;
  /** For what nobody waits for: how long an item waits for others. */
  gatherMs?: number;
  /** Where the order does not matter: after this long, a batch that hangs on a dead connection is overtaken by the next. */
  patienceMs?: number;
}

const MOST_ITEMS = 100;

/** pg sends arrays of bytes as hexadecimal text, which must fit a message and a string. */
const MOST_BYTES = 4_000_000;

interface Entry<Item, Written> {
  item: Item;
  resolve(written: Written): void;
  reject(error: unknown): void;
}

/**
 * Writes together what comes together: in the same moment, or while what came before, of the same key, is being written.
 * @param write for each item, in their order; what it throws is thrown for all of them
 */
export function createBatches<Item, Written>(
  write: (items: Item[]) => Promise<Written[]>,
  { sizeOf = () => 0, gatherMs = 0, patienceMs = Infinity }: BatchOptions<Item> = {},
): Batches<Item, Written> {
  const waiting = new Map<object | string, Entry<Item, Written>[]>();

  const takeBatch = (entries: Entry<Item, Written>[]) => {
    let bytes = 0;
    const end = entries.findIndex(({ item }, n) => n === MOST_ITEMS || ((bytes += sizeOf(item)) > MOST_BYTES && n > 0));
    return entries.splice(0, end < 0 ? entries.length : end);
  };

  async function writeBatch(batch: Entry<Item, Written>[]): Promise<void> {
    try {
      const written = await write(batch.map(({ item }) => item));
      for (const [n, { resolve }] of batch.entries()) resolve(written[n]!);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  async function writeAll(key: object | string, entries: Entry<Item, Written>[]): Promise<void> {
    await nextTurn();
    while (entries.length > 0) {
      if (gatherMs > 0) await delay(gatherMs);
      const written = writeBatch(takeBatch(entries));
      await (patienceMs === Infinity ? written : withinMs(patienceMs, written));
    }
    waiting.delete(key);
  }

  const add = (key: object | string, entry: Entry<Item, Written>) => {
    const entries = waiting.get(key);
    if (entries) return entries.push(entry);
    const first = [entry];
    waiting.set(key, first);
    return void writeAll(key, first);
  };
  return (key, item) => new Promise((resolve, reject) => void add(key, { item, resolve, reject }));
}

/** Waits for it, but not longer. */
async function withinMs(ms: number, work: Promise<void>): Promise<void> {
  const over = new AbortController();
  const patience = delay(ms, undefined, { signal: over.signal }).catch(() => undefined);
  await Promise.race([work, patience]);
  over.abort();
}
