import { setImmediate as nextTurn } from 'node:timers/promises';

/** Adds an item to the batch of its key; resolves to what was written for it. */
export type Batches<Item, Written> = (key: object | string, item: Item) => Promise<Written>;

/**
 * Writes together what comes together: in the same moment, or while the batch before of the same key is being written.
 * @param write for each item, in their order; what it throws is thrown for all of them
 */
export function createBatches<Item, Written>(write: (items: Item[]) => Promise<Written[]>): Batches<Item, Written> {
  const gathering = new Map<object | string, { items: Item[]; written: Promise<Written[]> }>();
  const writing = new Map<object | string, Promise<unknown>>();

  async function writeNext(key: object | string, items: Item[]): Promise<Written[]> {
    await nextTurn();
    await writing.get(key)?.catch(() => undefined);
    gathering.delete(key);
    const written = write(items);
    writing.set(key, written);
    return written.finally(() => writing.get(key) === written && writing.delete(key));
  }

  return async (key, item) => {
    let batch = gathering.get(key);
    if (!batch) {
      const items: Item[] = [];
      batch = { items, written: writeNext(key, items) };
      gathering.set(key, batch);
    }
    const index = batch.items.push(item) - 1;
    return (await batch.written)[index]!;
  };
}
