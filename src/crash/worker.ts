/**
 * A worker that is there to be killed, or to take over: as `index.ts worker`, but it tells its parent
 * when it is ready, and does not outlive it. `worker.ts [URL of the simulated API]`
 */
import { exitCodeOf, explain } from '../cli/errors.ts';
import { createOutput } from '../cli/output.ts';
import { Interrupted, listenForShutdown, rejectOnAbort } from '../cli/shutdown.ts';
import { getWorldConfig, runWorld, stopWorld } from '../../world-config.ts';

const { note } = createOutput(false);
// The parent says that everything stops.
const stopping = listenForShutdown(() => undefined);
const interrupted = rejectOnAbort(stopping);
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();

try {
  const simulatedApiUrl = process.argv.slice(2).find((argument) => !argument.startsWith('--'));
  const verbose = process.argv.includes('--verbose');
  const log = (line: string) => {
    // Where the database is, the parent has said.
    if (verbose || !line.startsWith('PostgreSQL: ')) note(`worker ${process.pid}: ${line}`);
  };
  await Promise.race([runWorld(getWorldConfig({ simulatedApiUrl, verbose, log })), interrupted]);
  process.send?.('ready', () => undefined);
  await interrupted;
} catch (error) {
  if (!(error instanceof Interrupted)) note(explain(error));
  process.exitCode = exitCodeOf(error);
} finally {
  await stopWorld();
}
