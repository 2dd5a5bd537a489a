import { Interrupted } from '../cli/shutdown.ts';
import { onStopSignals } from '../cli/signals.ts';

/**
 * Fires at the first signal, with an {@link Interrupted}: the tool is to end, then the database is to
 * be left. A later signal ends the process at once.
 */
export function listenForStop(): AbortSignal {
  const controller = new AbortController();
  onStopSignals({
    first: (exitCode) => controller.abort(new Interrupted(exitCode)),
    again: (exitCode) => process.exit(exitCode),
  });
  return controller.signal;
}
