/**
 * The World: where workflow runs are kept, queued and streamed. It joins the storage of
 * `@workflow/world-postgres` (with one transaction per event), durable streams, and a queue on
 * pg-boss whose jobs are the leases of the runs. See docs/ARCHITECTURE.md.
 */
import type { World } from '@workflow/world';
import { readConfig, type WorldConfig } from './src/config/config.ts';
import { asInPsql } from './src/config/postgres-url.ts';
import currentWorld, { getCurrent, type RunningWorld } from './src/runtime/current-world.ts';
import { createLazyWorld } from './src/runtime/lazy-world.ts';
import { buildWorld } from './src/world/build-world.ts';

export type { WorldConfig } from './src/config/config.ts';
export { answerHookOnce, HookAnsweredError, type HookAnswer } from './src/runtime/answer-hook-once.ts';
export { startOnce, StartKeyConflictError } from './src/runtime/start-once.ts';
export type { RunningWorld } from './src/runtime/current-world.ts';

/** The configuration: the environment and `.env`, and over it what is given here. */
export function getWorldConfig(partialConfig: Partial<WorldConfig> = {}): WorldConfig {
  const config = { ...readConfig(), ...partialConfig };
  // Those of the environment have been through this already.
  for (const key of ['connectionString', 'directConnectionString'] as const) config[key] &&= asInPsql(config[key]);
  return config;
}

let initializing: Promise<RunningWorld> | undefined;
let stopInitializing = () => {};

/**
 * Connects to the database, compiles the workflows and, unless `worker` is false, starts to take
 * work. There is one World per process: a second call returns the first one.
 * @throws ConfigError where the environment is to blame, with the remedy
 */
export async function initializeWorld(partialConfig: Partial<WorldConfig> = {}): Promise<World> {
  return (await runWorld(partialConfig)).world;
}

/** As {@link initializeWorld}, with what is around the World. */
export async function runWorld(partialConfig: Partial<WorldConfig> = {}): Promise<RunningWorld> {
  const running = getCurrent();
  if (running) return running;
  if (initializing) return initializing;
  const stopping = new AbortController();
  stopInitializing = () => stopping.abort();
  const world = buildWorld(getWorldConfig(partialConfig), stopWorld, stopping.signal);
  return (initializing = world.finally(() => (initializing = undefined)));
}

/** @throws Error before {@link initializeWorld} */
export function getWorld(): World {
  return currentWorld();
}

/** True only while the database answered within the last two seconds, the workers run, and nothing has failed for ten. */
export function isWorldHealthy(): boolean {
  return getCurrent()?.isHealthy() ?? false;
}

/** Hands back what this process is working on, at once, and closes everything that was opened. */
export async function stopWorld(): Promise<void> {
  stopInitializing();
  await initializing?.catch(() => undefined);
  await getCurrent()?.stop();
}

/** For the Workflow runtime and its tools, which load this module as WORKFLOW_TARGET_WORLD. */
export default function createWorld(): World {
  const reader = () => initializeWorld({ worker: false, workflowFiles: [] });
  return getCurrent()?.world ?? createLazyWorld(reader, stopWorld);
}
