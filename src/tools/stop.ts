import { constants } from 'node:os';
import { Interrupted } from '../cli/shutdown.ts';

/** One Ctrl+C arrives more than once: from the terminal, and from npm and tsx, which pass it on. */
const SAME_KEY_MS = 1_000;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Fires at the first signal, with an {@link Interrupted}: the tool is to end, then the database is to
 * be left. A later signal ends the process at once.
 */
export function listenForStop(): AbortSignal {
  const controller = new AbortController();
  let stoppedAt = 0;
  for (const name of SIGNALS) {
    const exitCode = 128 + constants.signals[name];
    process.on(name, () => {
      if (!controller.signal.aborted) {
        stoppedAt = Date.now();
        controller.abort(new Interrupted(exitCode));
      } else if (Date.now() - stoppedAt > SAME_KEY_MS) {
        process.exit(exitCode);
      }
    });
  }
  return controller.signal;
}
