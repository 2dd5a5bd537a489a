import { maskSecrets, type WorldConfig } from '../config/config.ts';
import { rootOf } from './conditions.ts';
import { isUnreachable } from './transient.ts';

/** How long whoever begins waits for a server that starts, recovers or restarts. */
const PATIENCE_MS = 15_000;
/** The same for a worker under a supervisor, which may begin before there is a server at all. */
const WORKER_PATIENCE_MS = 60_000;

const RETRY_DELAY_MS = 250;

/** Nobody listens there, or nobody is found. */
const ABSENT = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENETDOWN|ETIMEDOUT)$/;
const ABSENT_MESSAGE = /timeout expired/;

/** Room, and memory, do not come back in seconds. */
const NOT_SOON = /^53[12]/;

/** Does what needs the server: again, until that is ready. Throws what is not for want of it at once. */
export type AwaitServer = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * For everything that a process asks of the database before it is ready, with one patience for all of it.
 * A server that answers in any way, with an error or by hanging up, is waited for; one that is not there at
 * all by a worker only, since a person would rather be told of a mistake in the URL.
 * @param signal fires when the process stops
 */
export function createAwaitServer(
  { waitsForDatabase, log }: Pick<WorldConfig, 'waitsForDatabase' | 'log'>,
  signal?: AbortSignal,
): AwaitServer {
  const patienceMs = waitsForDatabase ? WORKER_PATIENCE_MS : PATIENCE_MS;
  let isThere = waitsForDatabase;
  let deadline: number | undefined;

  return async (work) => {
    for (;;) {
      try {
        const result = await work();
        isThere = true;
        return result;
      } catch (error) {
        const { code, message } = rootOf(error);
        const isAbsent = ABSENT.test(code) || ABSENT_MESSAGE.test(message);
        isThere ||= !isAbsent;
        if (!isUnreachable(error) || NOT_SOON.test(code) || !isThere || performance.now() > (deadline ?? Infinity))
          throw error;
        if (deadline === undefined) {
          const reason = maskSecrets(message || code);
          log(`PostgreSQL is not ready: ${reason}. Waiting for it, ${patienceMs / 1_000} s at most.`);
        }
        deadline ??= performance.now() + patienceMs;
        await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
        signal?.throwIfAborted();
      }
    }
  };
}
