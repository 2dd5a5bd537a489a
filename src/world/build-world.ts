import { SPEC_VERSION_CURRENT, type World } from '@workflow/world';
import type { WorldConfig } from '../config/config.ts';
import { createHealth } from '../health/health.ts';
import { createIsolation } from '../isolation/isolate.ts';
import { simulatedDeployment, startSimulatedApi } from '../model/simulated-api.ts';
import { findUnfinishedRuns } from '../postgres/unfinished-runs.ts';
import { createAwaitServer, type AwaitServer } from '../postgres/await-server.ts';
import { startDatabaseClock } from '../postgres/database-clock.ts';
import { startHealthCheck } from '../postgres/health.ts';
import { createListener, notify } from '../postgres/listener.ts';
import { createPool } from '../postgres/pool.ts';
import { provideDatabase, type Database } from '../postgres/provide-database.ts';
import { keepSession } from '../postgres/session.ts';
import { createStorage } from '../postgres/storage.ts';
import { findServedDeployment, registerWorker } from '../postgres/workers.ts';
import { jobChannel, queueNames, startBoss } from '../queue/boss.ts';
import { driveOne } from '../queue/drive-one.ts';
import { createJobs, WAKE_CHANNEL } from '../queue/jobs.ts';
import { keepQueues } from '../queue/keep-queues.ts';
import { startWorker, type Worker } from '../queue/worker.ts';
import { createWorldQueue, requestReplay } from '../queue/world-queue.ts';
import { compileWorkflows, NOT_COMPILED } from '../compile/compile.ts';
import { setCurrent, type RunningWorld } from '../runtime/current-world.ts';
import { replayBy } from '../runtime/replay-clock.ts';
import { settleBoth } from '../runtime/settle-both.ts';
import { STREAM_CHANNEL } from '../streams/chunks.ts';
import { answerSinks, checkRuntimeSinks, interceptRuntimeSinks } from '../streams/runtime-sinks.ts';
import { createStreamer } from '../streams/streamer.ts';
import { createOwnRuns } from '../walls/own-runs.ts';
import { wallStorage } from '../walls/walled-storage.ts';
import { wallStreams } from '../walls/walled-streams.ts';

/**
 * Opens what a World needs, composes it, and begins to take work; what was opened is closed by `stop()`.
 * @param stopped fires when nobody waits for it any more
 * @param close what closes the World of this process, for whoever has nothing else of it
 */
export async function buildWorld(
  config: WorldConfig,
  close: () => Promise<void>,
  stopped: AbortSignal,
): Promise<RunningWorld> {
  await using opened = new AsyncDisposableStack();
  const awaitServer = createAwaitServer(config, stopped);
  const [database, compiled] = await settleBoth(
    provideDatabase(config, opened, awaitServer),
    compileWorkflows(config.projectRoot, config.workflowFiles),
  );
  const { codeVersion, workflows } = compiled;
  const isReader = compiled === NOT_COMPILED;
  const simulated = simulatedDeployment(codeVersion);
  // Without a login, only the runs that were begun without one.
  const deploymentIds = config.model === 'simulated' ? [simulated] : [codeVersion, simulated];
  const deploymentId = deploymentIds[0]!;

  const connections = await connect(database, config, opened, awaitServer);
  const { pool, clock, check, boss, health, jobs } = connections;
  const getDeploymentId = async () =>
    (isReader && (await findServedDeployment(pool, config.jobPrefix))) || deploymentId;
  const world = composeWorld({ ...connections, getDeploymentId, close }, config, opened);

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
    isHealthy: () => check.healthy && (worker?.running ?? !config.worker),
    stopping: stopping.signal,
    stop: async () => undefined,
  };
  setCurrent(running);
  opened.defer(() => setCurrent(undefined));

  if (!isReader) {
    interceptRuntimeSinks();
    await compiled.load();
    await checkRuntimeSinks();
    const queues = [codeVersion, simulated].map((id) => queueNames(config.jobPrefix, id));
    opened.use(await awaitServer(() => keepQueues({ ...config, pool, boss, health, queues })));
  }
  if (config.worker) {
    if (!config.simulatedApiUrl) opened.use(await startSimulatedApi());
    const options = { ...driving, deploymentIds, driveAlone: createIsolation(config, jobs) };
    opened.use(await awaitServer(() => registerWorker(pool, options)));
    worker = opened.adopt(startWorker(options), (it) => it.stop());
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
  awaitServer: AwaitServer,
) {
  const health = createHealth(config.log);
  const pool = opened.adopt(createPool(connectionString, config.maxPoolSize, pooled), (it) => it.end());
  const session =
    listenString === undefined
      ? undefined
      : opened.use(keepSession(listenString, health.of('The session for notifications')));
  const listener = createListener(session, [jobChannel(config.queueSchema), WAKE_CHANNEL, STREAM_CHANNEL]);
  const clock = await awaitServer(() => startDatabaseClock(pool));
  opened.use(replayBy(clock.now));
  const check = opened.use(startHealthCheck(clock.measure, health));
  const boss = opened.adopt(await awaitServer(() => startBoss(pool, config)), (it) => it.stop({ graceful: false }));
  const jobs = createJobs(boss, pool, config.queueSchema);
  return { pool, session, listener, clock, check, health, boss, jobs };
}

type Parts = Pick<Awaited<ReturnType<typeof connect>>, 'pool' | 'clock' | 'listener' | 'jobs'> & {
  getDeploymentId(): Promise<string>;
  close(): Promise<void>;
};

/** Storage, streams and queue: what the Workflow runtime takes for the World. */
function composeWorld(
  { pool, clock, listener, jobs, getDeploymentId, close }: Parts,
  { jobPrefix, queueSchema, maxValueBytes }: WorldConfig,
  opened: AsyncDisposableStack,
): World {
  const queue = createWorldQueue({ pool, jobs, jobPrefix, maxValueBytes, getDeploymentId });
  const onStreamEnd = (stream: string) => notify(pool, STREAM_CHANNEL, stream);
  const onUnfollowed = (runId: string) => requestReplay(pool, jobs, runId);
  const storage = createStorage(
    { pool, clock, jobPrefix, queueSchema, maxValueBytes, onStreamEnd, onUnfollowed },
    opened,
  );
  const closing = opened.adopt(new AbortController(), (it) => it.abort());
  const runs = createOwnRuns(pool, jobPrefix);
  const streams = answerSinks(wallStreams(createStreamer(pool, listener, closing.signal, clock.now), runs));
  return { specVersion: SPEC_VERSION_CURRENT, ...wallStorage(storage, runs), ...streams, ...queue, close };
}
