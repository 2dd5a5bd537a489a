import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseSync } from 'node:sqlite';

const RETRY_INTERVAL_MS = 50;
const SQLITE_BUSY = 5;

/**
 * A lock between processes that the kernel releases when its holder dies. Node has no flock;
 * SQLite, which it does have, takes one on its file for an exclusive transaction.
 * @throws Error when it was not to be had within `patienceMs`
 */
export async function lockFile(path: string, patienceMs: number): Promise<Disposable> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const database = new DatabaseSync(path, { timeout: 0 });
    try {
      database.exec('BEGIN EXCLUSIVE');
      return { [Symbol.dispose]: () => database.close() };
    } catch (error) {
      database.close();
      if ((error as { errcode?: number }).errcode !== SQLITE_BUSY || performance.now() > deadline) {
        throw new Error(`Cannot lock ${path}`, { cause: error });
      }
    }
    await delay(RETRY_INTERVAL_MS);
  }
}
