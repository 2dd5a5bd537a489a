import { Interrupted } from '../cli/shutdown.ts';
import { onStopSignals } from '../cli/signals.ts';

/**
 * Fires at the first signal, with an {@link Interrupted}: the tool is to end, then the database is to
 * be left. A later signal ends the process at once.
 */
export function listenForStop(): AbortSignal {
  const controller = new AbortController();
  const first = (exitCode: number) => controller.abort(new Interrupted(exitCode));
  onStopSignals({ first, again: (exitCode) => process.exit(exitCode) }, ['SIGINT', 'SIGTERM', 'SIGHUP']);
  return controller.signal;
}
