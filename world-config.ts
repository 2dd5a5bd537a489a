/**
 * The World: where workflow runs are kept, queued and streamed. It joins the storage of
 * `@workflow/world-postgres` (with one transaction per event), durable streams, and a queue on
 * pg-boss whose jobs are the leases of the runs. See docs/ARCHITECTURE.md.
 */
import { SPEC_VERSION_CURRENT, type World } from '@workflow/world';
import { readConfig, type WorldConfig } from './src/config/config.ts';
import { asInPsql } from './src/config/postgres-url.ts';
import { createIsolation } from './src/isolation/isolate.ts';
import { simulatedDeployment, startSimulatedApi } from './src/model/simulated-api.ts';
import { findUnfinishedRuns } from './src/postgres/unfinished-runs.ts';
import { startDatabaseClock } from './src/postgres/database-clock.ts';
import { startHealthCheck } from './src/postgres/health.ts';
import { createListener, notify } from './src/postgres/listener.ts';
import { createPool } from './src/postgres/pool.ts';
import { provideDatabase, type Database } from './src/postgres/provide-database.ts';
import { keepSession } from './src/postgres/session.ts';
import { createStorage } from './src/postgres/storage.ts';
import { findServedDeployment, registerWorker } from './src/postgres/workers.ts';
import { jobChannel, queueNames, startBoss } from './src/queue/boss.ts';
import { driveOne } from './src/queue/drive-one.ts';
import { createJobs, WAKE_CHANNEL } from './src/queue/jobs.ts';
import { keepQueues } from './src/queue/keep-queues.ts';
import { startWorker, type Worker, type WorkerOptions } from './src/queue/worker.ts';
import { createWorldQueue, requestReplay } from './src/queue/world-queue.ts';
import { compileWorkflows, NOT_COMPILED } from './src/runtime/compile.ts';
import currentWorld, { getCurrent, setCurrent, type RunningWorld } from './src/runtime/current-world.ts';
import { createLazyWorld } from './src/runtime/lazy-world.ts';
import { replayBy } from './src/runtime/replay-clock.ts';
import { settleBoth } from './src/runtime/settle-both.ts';
import { STREAM_CHANNEL } from './src/streams/chunks.ts';
import { createStreamer } from './src/streams/streamer.ts';

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
  initializing ??= buildWorld(getWorldConfig(partialConfig)).finally(() => (initializing = undefined));
  return initializing;
}

/** @throws Error before {@link initializeWorld} */
export function getWorld(): World {
  return currentWorld();
}

/** True only while the database answered within the last two seconds and the workers run. */
export function isWorldHealthy(): boolean {
  return getCurrent()?.isHealthy() ?? false;
}

/** Hands back what this process is working on, at once, and closes everything that was opened. */
export async function stopWorld(): Promise<void> {
  await initializing?.catch(() => undefined);
  await getCurrent()?.stop();
}

/** For the Workflow runtime and its tools, which load this module as WORKFLOW_TARGET_WORLD. */
export default function createWorld(): World {
  const reader = () => initializeWorld({ worker: false, workflowFiles: [] });
  return getCurrent()?.world ?? createLazyWorld(reader, stopWorld);
}

async function buildWorld(config: WorldConfig): Promise<RunningWorld> {
  await using opened = new AsyncDisposableStack();
  const [database, compiled] = await settleBoth(
    provideDatabase(config, opened),
    compileWorkflows(config.projectRoot, config.workflowFiles),
  );
  const { codeVersion, workflows } = compiled;
  const isReader = compiled === NOT_COMPILED;
  const simulated = simulatedDeployment(codeVersion);
  // Without a login, only the runs that were begun without one.
  const deploymentIds = config.model === 'simulated' ? [simulated] : [codeVersion, simulated];
  const deploymentId = deploymentIds[0]!;

  const connections = await connect(database, config, opened);
  const { pool, clock, health, boss, jobs } = connections;
  const getDeploymentId = async () =>
    (isReader && (await findServedDeployment(pool, config.jobPrefix))) || deploymentId;
  const world = composeWorld({ ...connections, getDeploymentId }, config, opened);

  const driving = { ...config, ...connections, concurrency: config.queueConcurrency };
  const stopping = new AbortController();
  let worker: Worker | undefined;
  const running: RunningWorld = {
    world,
    config,
    pool,
    now: clock.now,
    workflows,
    codeVersion,
    deploymentId,
    takes: (id) => deploymentIds.includes(id),
    findUnfinishedRuns: () => findUnfinishedRuns(pool, config.jobPrefix),
    async driveOne(...run) {
      await using _entry = await registerWorker(pool, { ...driving, deploymentIds: [] });
      await driveOne(driving, ...run);
    },
    isHealthy: () => health.healthy && (worker?.running ?? !config.worker),
    stopping: stopping.signal,
    stop: async () => undefined,
  };
  setCurrent(running);
  opened.defer(() => setCurrent(undefined));

  if (!isReader) {
    await compiled.load();
    const queues = [codeVersion, simulated].map((id) => queueNames(config.jobPrefix, id));
    opened.use(await keepQueues({ ...config, pool, boss, queues }));
  }
  if (config.worker) {
    if (!config.simulatedApiUrl) opened.use(await startSimulatedApi());
    worker = await takeWork({ ...driving, deploymentIds, driveAlone: createIsolation(config, jobs) }, opened);
  }

  opened.defer(() => stopping.abort());
  const everything = opened.move();
  running.stop = () => everything.disposeAsync();
  return running;
}

/** What reaches the database, and tells what happens there. */
async function connect(
  { connectionString, listenString, pooled }: Database,
  config: WorldConfig,
  opened: AsyncDisposableStack,
) {
  const pool = opened.adopt(createPool(connectionString, config.maxPoolSize, pooled), (it) => it.end());
  const session = listenString === undefined ? undefined : opened.use(keepSession(listenString));
  const listener = createListener(session, [jobChannel(config.queueSchema), WAKE_CHANNEL, STREAM_CHANNEL]);
  const clock = await startDatabaseClock(pool);
  opened.use(replayBy(clock.now));
  const health = opened.use(startHealthCheck(clock.measure));
  const boss = opened.adopt(await startBoss(pool, config), (it) => it.stop({ graceful: false }));
  const jobs = createJobs(boss, pool, config.queueSchema);
  return { pool, session, listener, clock, health, boss, jobs };
}

async function takeWork(options: WorkerOptions, opened: AsyncDisposableStack): Promise<Worker> {
  opened.use(await registerWorker(options.pool, options));
  return opened.adopt(startWorker(options), (it) => it.stop());
}

type Parts = Pick<Awaited<ReturnType<typeof connect>>, 'pool' | 'clock' | 'listener' | 'jobs'> & {
  getDeploymentId(): Promise<string>;
};

/** Storage, streams and queue: what the Workflow runtime takes for the World. */
function composeWorld(
  { pool, clock, listener, jobs, getDeploymentId }: Parts,
  { jobPrefix, queueSchema }: WorldConfig,
  opened: AsyncDisposableStack,
): World {
  const queue = createWorldQueue({ pool, jobs, jobPrefix, getDeploymentId });
  const onStreamEnd = (stream: string) => notify(pool, STREAM_CHANNEL, stream);
  const onUnfollowed = (runId: string) => requestReplay(pool, jobs, runId);
  const storage = createStorage({ pool, clock, jobPrefix, queueSchema, onStreamEnd, onUnfollowed }, opened);
  const closing = opened.adopt(new AbortController(), (it) => it.abort());
  const streams = createStreamer(pool, listener, closing.signal);
  return { specVersion: SPEC_VERSION_CURRENT, ...storage, ...streams, ...queue, close: stopWorld };
}
