/**
 * The process that has nothing but one run, of which workers died. isolate.ts starts it and tells it
 * which; it does not outlive that one, and ends when it has given the run back.
 */
import { once } from 'node:events';
import { runWorld, stopWorld } from '../../world-config.ts';
import { startSimulatedApi } from '../model/simulated-api.ts';
import type { Assignment, FromIsolated } from './messages.ts';

const stopping = new AbortController();
const stop = () => stopping.abort();
for (const event of ['SIGTERM', 'SIGINT', 'disconnect']) process.once(event, stop);
const tell = (message: FromIsolated) => void process.send?.(message, () => undefined);

const [{ config, handedOver }] = (await once(process, 'message')) as [Assignment];
await using _api = config.simulatedApiUrl ? undefined : await startSimulatedApi();
const world = await runWorld({ ...config, worker: false, log: (line) => tell({ kind: 'log', line }) });
await world.driveOne(handedOver, () => tell({ kind: 'held' }), stopping.signal);
await stopWorld();
if (process.connected) process.disconnect();
