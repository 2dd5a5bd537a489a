import { setTimeout as delay } from 'node:timers/promises';

/** SQLSTATEs after which the same transaction may succeed: lost connection, shutdown, fail-over, deadlock, timeouts, resources. */
const TRANSIENT_STATES = /^(08|53|57P0|57014|40001|40P01|55P03|25P03|25006)/;

/** Those of them that say that there is no server to talk to. */
const UNREACHABLE_STATES = /^(08|53|57P0)/;

const TRANSIENT_ERRNOS =
  /^(ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|ENOTFOUND|EAI_AGAIN)$/;
const TRANSIENT_MESSAGES =
  /Connection terminated|Query read timeout|timeout exceeded when trying to connect|timeout expired|not queryable/;

/** How long what should not get lost waits for a database that is away. (What was paid for waits without a limit.) */
export const DATABASE_PATIENCE_MS = 60_000;

const FIRST_DELAY_MS = 50;
const LAST_DELAY_MS = 2_000;

/** Whether the database, not the statement, is to blame. Looks through `cause`, where drizzle puts the original. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && (TRANSIENT_STATES.test(code) || TRANSIENT_ERRNOS.test(code))) return true;
  if (isOutdated(error)) return true;
  return TRANSIENT_MESSAGES.test(error.message) || isTransient(error.cause);
}

/**
 * Whether the session has prepared a statement before setup changed its columns: it fails there for ever, and works in
 * a new one. (By the function of the server that says so: its message may be in any language.)
 */
export function isOutdated(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (error as { routine?: string }).routine === 'RevalidateCachedQuery' || isOutdated(error.cause);
}

/** Whether the server could not be reached, or has gone away. */
export function isUnreachable(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return isTransient(error) && (typeof code !== 'string' || !/^\d/.test(code) || UNREACHABLE_STATES.test(code));
}

/**
 * Tries again, with growing delays, for as long as the database is to blame and `patienceMs` has not passed.
 * @param signal ends the trying, with the last error
 */
export async function retryTransient<T>(
  work: (again: boolean) => Promise<T>,
  patienceMs: number,
  signal?: AbortSignal,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (let delayMs = FIRST_DELAY_MS, again = false; ; delayMs = Math.min(delayMs * 2, LAST_DELAY_MS), again = true) {
    try {
      return await work(again);
    } catch (error) {
      if (!isTransient(error) || signal?.aborted || performance.now() + delayMs > deadline) throw error;
      await delay(delayMs, undefined, { signal }).catch(() => undefined);
      if (signal?.aborted) throw error;
    }
  }
}
