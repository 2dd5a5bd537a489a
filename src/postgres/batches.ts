import { setImmediate as nextTurn } from 'node:timers/promises';

/** Writes an item with others of its key; resolves to what was written for it. */
export type Batches<Item, Written> = (key: object | string, item: Item) => Promise<Written>;

export interface BatchOptions<Item> {
  /** Bytes that an item needs in a statement, by estimate. */
  sizeOf?(item: Item): number;
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
  { sizeOf = () => 0 }: BatchOptions<Item> = {},
): Batches<Item, Written> {
  const waiting = new Map<object | string, Entry<Item, Written>[]>();

  const takeBatch = (entries: Entry<Item, Written>[]) => {
    let bytes = 0;
    const end = entries.findIndex(({ item }, n) => n === MOST_ITEMS || ((bytes += sizeOf(item)) > MOST_BYTES && n > 0));
    return entries.splice(0, end < 0 ? entries.length : end);
  };

  async function writeAll(key: object | string, entries: Entry<Item, Written>[]): Promise<void> {
    await nextTurn();
    while (entries.length > 0) {
      const batch = takeBatch(entries);
      try {
        const written = await write(batch.map(({ item }) => item));
        for (const [n, { resolve }] of batch.entries()) resolve(written[n]!);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
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
