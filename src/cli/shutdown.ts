import { constants } from 'node:os';

/** How long the work gets to be handed back. */
const GRACE_MS = 4_500;

/** One Ctrl+C arrives more than once: from the terminal, and from npm and tsx, which pass it on. */
const SAME_KEY_MS = 1_000;

/**
 * Fires at the first SIGINT or SIGTERM; its reason is an {@link Interrupted}.
 * That one stops everything in order, a second one at once. If something keeps the process
 * alive, it ends after five seconds and says what that was.
 */
export function listenForShutdown(note: (line: string) => void): AbortSignal {
  const controller = new AbortController();
  let stoppedAt = 0;
  const stop = (name: 'SIGINT' | 'SIGTERM' | 'SIGPIPE') => {
    const exitCode = 128 + constants.signals[name];
    if (controller.signal.aborted) {
      if (name === 'SIGPIPE' || Date.now() - stoppedAt < SAME_KEY_MS) return;
      note('Stopped at once; what was being worked on goes on when its heartbeat lapses.');
      process.exit(exitCode);
    }
    stoppedAt = Date.now();
    note('\nStopping: handing the work back … (once more to stop at once)');
    setTimeout(() => {
      note(`Something did not stop in time: ${process.getActiveResourcesInfo().join(', ')}`);
      process.exit(exitCode);
    }, GRACE_MS).unref();
    controller.abort(new Interrupted(exitCode));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  // Node ignores the signal; whoever read our output (… | head) has had enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    stop('SIGPIPE');
  });
  return controller.signal;
}

/** Rejects with {@link Interrupted} when the signal fires, for racing against work. */
export function rejectOnAbort(signal: AbortSignal): Promise<never> {
  const rejected = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Interrupted), { once: true });
  });
  // Nobody may be racing at the moment.
  rejected.catch(() => undefined);
  return rejected;
}

/** The user stopped the program, by a signal. */
export class Interrupted extends Error {
  override name = 'Interrupted';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('interrupted');
    this.exitCode = exitCode;
  }
}
