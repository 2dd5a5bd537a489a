import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseSync } from 'node:sqlite';
import { ConfigError } from '../../config/config.ts';
import { createPrivateFile } from './private-file.ts';

const RETRY_INTERVAL_MS = 50;
const SQLITE_BUSY = 5;

/**
 * A lock between processes that the kernel releases when its holder dies. Node has no flock;
 * SQLite, which it does have, takes one on its file for an exclusive transaction.
 * @throws ConfigError when it was not to be had within `patienceMs`
 */
export async function lockFile(path: string, patienceMs: number): Promise<Disposable> {
  // Whoever may open it, to read it, could hold it for ever.
  createPrivateFile(path);
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const database = new DatabaseSync(path, { timeout: 0 });
    try {
      database.exec('BEGIN EXCLUSIVE');
      return { [Symbol.dispose]: () => database.close() };
    } catch (error) {
      database.close();
      if ((error as { errcode?: number }).errcode !== SQLITE_BUSY || performance.now() > deadline) {
        throw new ConfigError(
          `Cannot lock ${path}: ${(error as Error).message}\n` +
            '  Another process of this project holds it, and does not go on: continue it or end it, and try again.',
          { cause: error },
        );
      }
    }
    await delay(RETRY_INTERVAL_MS);
  }
}
