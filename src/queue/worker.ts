import { setTimeout as delay } from 'node:timers/promises';
import { every } from '../health/every.ts';
import { jobChannel, queueNames } from './boss.ts';
import { createDriving, type DrivingOptions } from './driving.ts';
import { createFetchLoop, type FetchLoop } from './fetch-loop.ts';
import { handleRunJob, type DriveAlone } from './handle-run-job.ts';
import { handleStepJob } from './handle-step-job.ts';
import { groupOrphans } from './orphaned-jobs.ts';
import { createSlots } from './slots.ts';
import { startSweep } from './sweep.ts';
import { workflowQueueName } from './world-queue.ts';

/** Runs are driven beside the steps, not instead of them; this bounds their memory. */
const RUNS_PER_STEP_SLOT = 2;
const MIN_RUNS = 10;
const MIN_PORTION = 5;

/** pg-boss then sees by itself what is due, and which worker's turn it is. */
const MAINTENANCE_INTERVAL_MS = 60_000;

const STOP_PATIENCE_MS = 3_000;

export interface WorkerOptions extends DrivingOptions {
  queueSchema: string;
  /** Whose runs this worker can replay. */
  deploymentIds: readonly string[];
  driveAlone: DriveAlone;
}

export interface Worker {
  readonly running: boolean;
  /** Hands back every lease at once, aborts what runs, and resolves when it has ended. */
  stop(): Promise<void>;
}

/** Takes work of the given deployments from the database until it is stopped. */
export function startWorker(options: WorkerOptions): Worker {
  const { boss, health, pool, listener, jobs, jobPrefix, queueSchema, deploymentIds, concurrency, driveAlone } =
    options;
  const { pollIntervalMs } = listener;
  const driving = createDriving(options);
  const { leases, stepSlots } = driving;
  const runsAtOnce = Math.max(MIN_RUNS, concurrency * RUNS_PER_STEP_SLOT);
  const runSlots = createSlots(runsAtOnce);
  const contexts = deploymentIds.map((deploymentId) => driving.contextFor(deploymentId, false));
  const stopping = new AbortController();

  const contextOf = (kind: 'flows' | 'steps', queue: string) => contexts.find(({ queues }) => queues[kind] === queue)!;
  const runLoop = createFetchLoop({
    boss,
    health: health.of('Fetching runs'),
    queues: contexts.map(({ queues }) => queues.flows),
    slots: runSlots,
    handle: (queue, job) =>
      handleRunJob(job, contextOf('flows', queue), leases, (run) => driveAlone(run, stopping.signal)),
    pollIntervalMs,
    // While others are fetched, those that are left keep the step slots busy.
    portion: Math.max(MIN_PORTION, Math.floor(runsAtOnce / 4)),
  });
  const stepLoop = createFetchLoop({
    boss,
    health: health.of('Fetching steps'),
    queues: contexts.map(({ queues }) => queues.steps),
    slots: stepSlots,
    handle: (queue, job) => handleStepJob(job, contextOf('steps', queue), leases),
    pollIntervalMs,
  });

  const loopOf = (queue: string): FetchLoop[] => {
    if (contexts.some(({ queues }) => queues.flows === queue)) return [runLoop];
    return contexts.some(({ queues }) => queues.steps === queue) ? [stepLoop] : [];
  };
  const stopListening = listener.on(jobChannel(queueSchema), (queue) => {
    const loops = queue === undefined ? [runLoop, stepLoop] : loopOf(queue);
    for (const loop of loops) loop.announce();
  });
  const sweeping = startSweep({
    pool,
    health,
    jobPrefix,
    queueSchema,
    wake: ({ runId, deploymentId, workflowName }) =>
      jobs.wake(queueNames(jobPrefix, deploymentId).flows, runId, {
        queueName: workflowQueueName(workflowName),
        payload: { runId },
      }),
    takeAway: jobs.takeAway,
  });

  const maintain = async () => {
    await boss.supervise();
    await groupOrphans(pool, jobPrefix, queueSchema);
  };
  // It may rebuild an index, which takes as long as it takes.
  const maintaining = every(MAINTENANCE_INTERVAL_MS, health.of('The maintenance of the queue'), maintain, {
    hangsAfterMs: Infinity,
  });

  let running = true;
  return {
    get running() {
      return running;
    },
    async stop() {
      if (!running) return;
      running = false;
      stopListening();
      const stopped = Promise.all([runLoop.stop(), stepLoop.stop(), sweeping.stop(), maintaining.stop()]);
      leases.abortAll();
      stopping.abort();
      // The leases are handed back at once; a step that does not heed its signal may take longer.
      await Promise.race([stopped, delay(STOP_PATIENCE_MS, undefined, { ref: false })]);
      driving.stop();
    },
  };
}
