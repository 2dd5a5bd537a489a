import type { TaskHealth } from './health.ts';

/** Disposed, it does not wait for what is under way: that may hang on a dead connection. */
export interface Repeated extends Disposable {
  /** Does it once more, now or after what is under way, which may have begun too early. Resolves when it is done. */
  again(): Promise<void>;
  /** Resolves when what is under way has ended. */
  stop(): Promise<void>;
}

export interface EveryOptions {
  /** After so long, one that hangs on a dead connection does not keep the next from trying another. */
  overtakeAfterMs?: number;
  /** After so long without an end, it counts as failed. */
  hangsAfterMs?: number;
}

const HANGS_AFTER_MS = 10_000;

/**
 * Does `work` again and again, one at a time; a failure is made up for by the next, and told to `health`.
 * Times are counted in turns: a process that was stopped for a minute has not waited for a minute.
 */
export function every(
  intervalMs: number,
  health: TaskHealth,
  work: () => Promise<unknown>,
  { overtakeAfterMs = Infinity, hangsAfterMs = HANGS_AFTER_MS }: EveryOptions = {},
): Repeated {
  let current: Promise<void> | undefined;
  let pendingMs = 0;
  let isStopped = false;

  const begin = () => {
    pendingMs = 0;
    /** Of one that was overtaken, nobody wants to know any more. */
    const end = (tell: () => void) => {
      if (current !== mine) return;
      current = undefined;
      if (!isStopped) tell();
    };
    const mine = work().then(
      () => end(health.worked),
      (error: unknown) => end(() => health.failed(error)),
    );
    current = mine;
    return mine;
  };

  const timer = setInterval(() => {
    pendingMs += intervalMs;
    if (current && pendingMs >= hangsAfterMs) health.failed(noAnswer(pendingMs), pendingMs);
    if (!current || pendingMs >= overtakeAfterMs) void begin();
  }, intervalMs);

  const stop = async () => {
    isStopped = true;
    clearInterval(timer);
    await current;
  };

  return {
    stop,
    async again() {
      await current;
      await (current ?? (isStopped ? undefined : begin()));
    },
    [Symbol.dispose]: () => void stop(),
  };
}

/** As the network says it. */
function noAnswer(pendingMs: number): Error {
  return Object.assign(new Error(`no answer for ${pendingMs / 1_000} s`), { code: 'ETIMEDOUT' });
}
