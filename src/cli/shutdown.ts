import { constants } from 'node:os';
import { onStopSignals } from './signals.ts';

/** How long the work gets to be handed back. */
const GRACE_MS = 4_500;

/**
 * Fires at the first SIGINT or SIGTERM; its reason is an {@link Interrupted}.
 * That one stops everything in order, a second one at once. If something keeps the process
 * alive, it ends after five seconds and says what that was.
 */
export function listenForShutdown(note: (line: string) => void): AbortSignal {
  const controller = new AbortController();
  const stop = (exitCode: number) => {
    if (controller.signal.aborted) return;
    setTimeout(() => {
      note(`Something did not stop in time: ${process.getActiveResourcesInfo().join(', ')}`);
      process.exit(exitCode);
    }, GRACE_MS).unref();
    controller.abort(new Interrupted(exitCode));
  };
  onStopSignals({
    first(exitCode) {
      note('\nStopping … (once more to stop at once)');
      stop(exitCode);
    },
    again(exitCode) {
      note('Stopped at once; another worker goes on with it, in a few seconds.');
      process.exit(exitCode);
    },
  });
  // Node ignores the signal; whoever read our output (… | head) has had enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    stop(128 + constants.signals.SIGPIPE);
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
