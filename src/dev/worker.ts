/**
 * The worker that supervisor.ts starts: as `index.ts worker`, but it says when it is ready, can be
 * told to end once the runs of its code have ended, and does not outlive its supervisor.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { exitCodeOf, explain } from '../cli/errors.ts';
import { createOutput } from '../cli/output.ts';
import { Interrupted, listenForShutdown, rejectOnAbort } from '../cli/shutdown.ts';
import { isTransient } from '../postgres/transient.ts';
import { getWorldConfig, runWorld, stopWorld, type RunningWorld } from '../../world-config.ts';
import { DRAIN, type FromWorker } from './messages.ts';

const DRAIN_INTERVAL_MS = 1_000;

const { note } = createOutput(false);
// The supervisor says that everything stops, once for all workers.
const stopping = listenForShutdown(() => undefined);
const interrupted = rejectOnAbort(stopping);
const drained = new Promise<void>((resolve) => process.on('message', (message) => message === DRAIN && resolve()));
// The supervisor is dead.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
// The channel alone keeps no process alive.
process.channel?.unref();

try {
  await Promise.race([serve(), interrupted]);
} catch (error) {
  if (!(error instanceof Interrupted)) note(explain(error));
  process.exitCode = exitCodeOf(error);
} finally {
  await stopWorld();
}

async function serve(): Promise<void> {
  const world = await runWorld(getWorldConfig({ log: note }));
  const unfinished = await world.findUnfinishedRuns();
  stopping.throwIfAborted();
  const waiting = unfinished.map(({ deploymentId }) => deploymentId).filter((id) => !world.takes(id));
  tell({ kind: 'ready', deploymentId: world.deploymentId, waiting });
  await drained;
  await untilNoneIsUnfinished(world);
}

async function untilNoneIsUnfinished({ findUnfinishedRuns, takes }: RunningWorld): Promise<void> {
  for (;;) {
    // Not before the first look either: a start() may have sent its message, and not written its run yet.
    await delay(DRAIN_INTERVAL_MS);
    try {
      const unfinished = (await findUnfinishedRuns()).filter(({ deploymentId }) => takes(deploymentId)).length;
      tell({ kind: 'draining', unfinished });
      if (unfinished === 0) return;
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
  }
}

function tell(message: FromWorker): void {
  // A supervisor that has died in this moment needs no answer, and the disconnect stops us.
  process.send?.(message, () => undefined);
}
