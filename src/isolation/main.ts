/**
 * The process that has nothing but one run, of which workers died. isolate.ts starts it and tells it
 * which; it does not outlive that one, and ends when it has given the run back.
 */
import { once } from 'node:events';
import { runWorld, stopWorld } from '../../world-config.ts';
import { startSimulatedApi } from '../model/simulated-api.ts';
import type { Assignment, FromIsolated } from './messages.ts';

const STOP_PATIENCE_MS = 3_000;

const stopping = new AbortController();
const stop = () => {
  stopping.abort();
  // The run is handed back at once; a step that does not heed its signal is not waited for.
  setTimeout(() => process.exit(1), STOP_PATIENCE_MS).unref();
};
for (const event of ['SIGTERM', 'SIGINT', 'disconnect']) process.once(event, stop);
const tell = (message: FromIsolated) => void process.send?.(message, () => undefined);

const [{ config, handedOver }] = (await once(process, 'message')) as [Assignment];
await using _api = config.simulatedApiUrl ? undefined : await startSimulatedApi();
const world = await runWorld({ ...config, worker: false, log: (line) => tell({ kind: 'log', line }) });
// During a rolling change the files may be newer than the worker that started us.
if (!world.takes(handedOver.deploymentId)) {
  throw new Error(`The code here is ${world.deploymentId}, and the run needs ${handedOver.deploymentId}.`);
}
await world.driveOne(handedOver, () => tell({ kind: 'held' }), stopping.signal);
await stopWorld();
if (process.connected) process.disconnect();
