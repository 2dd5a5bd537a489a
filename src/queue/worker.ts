import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { PgBoss } from 'pg-boss';
import type { Listener } from '../postgres/listener.ts';
import type { Session } from '../postgres/session.ts';
import { queueNames, jobChannel } from './boss.ts';
import { createFetchLoop, type FetchLoop } from './fetch-loop.ts';
import { keepJobLocks } from './job-locks.ts';
import { WAKE_CHANNEL, type Jobs } from './jobs.ts';
import { createLeases } from './leases.ts';
import { createReport } from './report.ts';
import { handleRunJob } from './handle-run-job.ts';
import { createSlots } from './slots.ts';
import { handleStepJob } from './handle-step-job.ts';
import { startSweep } from './sweep.ts';
import { workflowQueueName } from './world-queue.ts';

/** Runs are driven beside the steps, not instead of them; this bounds their memory. */
const RUNS_PER_STEP_SLOT = 2;
const MIN_RUNS = 10;

const STOP_PATIENCE_MS = 3_000;

export interface WorkerOptions {
  boss: PgBoss;
  pool: Pool;
  listener: Listener;
  /** Undefined behind a pooler: then the heartbeats alone tell that this process is alive. */
  session: Session | undefined;
  jobs: Jobs;
  jobPrefix: string;
  queueSchema: string;
  /** Whose runs this worker can replay. */
  deploymentIds: readonly string[];
  /** Steps at once. */
  concurrency: number;
  log(line: string): void;
  verbose: boolean;
}

export interface Worker {
  readonly running: boolean;
  /** Hands back every lease at once, aborts what runs, and resolves when it has ended. */
  stop(): Promise<void>;
}

/** Takes work of the given deployments from the database until it is stopped. */
export function startWorker(options: WorkerOptions): Worker {
  const { boss, pool, listener, session, jobs, jobPrefix, queueSchema, deploymentIds, concurrency } = options;
  const { pollIntervalMs } = listener;
  const report = createReport(options.log);
  const trace = (line: string) => options.verbose && options.log(line);
  const leases = createLeases(boss);
  const stepSlots = createSlots(concurrency);
  const runSlots = createSlots(Math.max(MIN_RUNS, concurrency * RUNS_PER_STEP_SLOT));
  const deploymentOf = new Map<string, string>();
  for (const deploymentId of deploymentIds) {
    const { flows, steps } = queueNames(jobPrefix, deploymentId);
    deploymentOf.set(flows, deploymentId).set(steps, deploymentId);
  }
  const queuesOf = deploymentIds.map((deploymentId) => queueNames(jobPrefix, deploymentId));
  const driven = new Map<string, () => void>();

  const runLoop = createFetchLoop(
    boss,
    queuesOf.map(({ flows }) => flows),
    runSlots,
    (queue, job) => {
      const deploymentId = deploymentOf.get(queue) as string;
      const onWake = (runId: string, callback: () => void) => {
        driven.set(runId, callback);
        // A driver that lost the run may outlive the next one's beginning, in this same process.
        return () => void (driven.get(runId) === callback && driven.delete(runId));
      };
      const queues = queueNames(jobPrefix, deploymentId);
      const context = { pool, jobs, queues, deploymentId, stepSlots, onWake, pollIntervalMs, report, trace };
      return handleRunJob(job, queue, context, leases);
    },
    pollIntervalMs,
  );
  const stepLoop = createFetchLoop(
    boss,
    queuesOf.map(({ steps }) => steps),
    stepSlots,
    (queue, job) => handleStepJob(job, queue, deploymentOf.get(queue) as string, { jobs, leases, report, trace }),
    pollIntervalMs,
  );

  const loopOf = (queue: string): FetchLoop[] => {
    if (queuesOf.some(({ flows }) => flows === queue)) return [runLoop];
    return queuesOf.some(({ steps }) => steps === queue) ? [stepLoop] : [];
  };
  const stopListening = [
    listener.on(jobChannel(queueSchema), (queue) => {
      const loops = queue === undefined ? [runLoop, stepLoop] : loopOf(queue);
      for (const loop of loops) loop.announce();
    }),
    listener.on(WAKE_CHANNEL, (runId) => {
      if (runId === undefined) for (const wake of driven.values()) wake();
      else driven.get(runId)?.();
    }),
  ];
  const stopSweep = startSweep({
    pool,
    jobPrefix,
    queueSchema,
    wake: ({ runId, deploymentId, workflowName }) =>
      jobs.wake(queueNames(jobPrefix, deploymentId).flows, runId, {
        queueName: workflowQueueName(workflowName),
        payload: { runId },
      }),
    takeAway: async (job) => {
      trace(`Run ${job.runId}: a worker of it is gone`);
      await jobs.takeAway(job);
    },
  });
  const stopLocks = session && keepJobLocks(session, leases.heldJobIds);

  let running = true;
  return {
    get running() {
      return running;
    },
    async stop() {
      if (!running) return;
      running = false;
      for (const stop of stopListening) stop();
      const stopped = Promise.all([runLoop.stop(), stepLoop.stop(), stopSweep()]);
      leases.abortAll();
      // The leases are handed back at once; a step that does not heed its signal may take longer.
      await Promise.race([stopped, delay(STOP_PATIENCE_MS, undefined, { ref: false })]);
      stopLocks?.();
      leases[Symbol.dispose]();
    },
  };
}
