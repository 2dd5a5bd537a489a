import type { Pool } from 'pg';
import type { PgBoss } from 'pg-boss';
import type { Health } from '../health/health.ts';
import type { Listener } from '../postgres/listener.ts';
import type { Session } from '../postgres/session.ts';
import { catchLeftBehind } from '../runtime/left-behind.ts';
import { queueNames } from './boss.ts';
import type { DriverContext } from './drive-run.ts';
import { keepJobLocks } from './job-locks.ts';
import { WAKE_CHANNEL, type Jobs } from './jobs.ts';
import { createLeases, type Leases } from './leases.ts';
import { createLeftBehindReport } from './report-left-behind.ts';
import { createReport } from './report.ts';
import { createRunWatch } from './run-watch.ts';
import { createSlots, type Slots } from './slots.ts';

/** A replay is mostly CPU: more at once end later, each, and those that wait gather results. With fewer, all may wait for the database. */
const REPLAYS_AT_ONCE = 4;

export interface DrivingOptions {
  boss: PgBoss;
  health: Health;
  pool: Pool;
  listener: Listener;
  /** Undefined behind a pooler: then the heartbeats alone tell that this process is alive. */
  session: Session | undefined;
  jobs: Jobs;
  jobPrefix: string;
  /** Steps at once. */
  concurrency: number;
  log(line: string): void;
  verbose: boolean;
}

/** What a process needs to drive runs, one or many. */
export interface Driving {
  leases: Leases;
  stepSlots: Slots;
  /** @param alone whether this process has nothing but one run */
  contextFor(deploymentId: string, alone: boolean): DriverContext;
  /** Resolves when the jobs that are held now have their locks, or cannot have them. */
  locked(): Promise<void>;
  /** After the last lease was given back. */
  stop(): void;
}

export function createDriving(options: DrivingOptions): Driving {
  const { boss, health, pool, listener, session, jobs, jobPrefix, concurrency } = options;
  const leases = createLeases(boss, health);
  const stepSlots = createSlots(concurrency);
  const replaySlots = createSlots(REPLAYS_AT_ONCE);
  const runWatch = createRunWatch(pool, health);
  const locks = session && keepJobLocks(session, leases.heldJobIds, health);
  const driven = new Map<string, () => void>();
  const stopListening = listener.on(WAKE_CHANNEL, (runId) => {
    if (runId === undefined) for (const wake of driven.values()) wake();
    else driven.get(runId)?.();
  });
  const leftBehind = createLeftBehindReport(options.log);
  const catching = catchLeftBehind();
  const common = {
    pool,
    jobs,
    stepSlots,
    replaySlots,
    runWatch,
    pollIntervalMs: listener.pollIntervalMs,
    log: options.log,
    report: createReport(options.log),
    leftBehind,
    trace: (line: string) => options.verbose && options.log(line),
    onWake(runId: string, callback: () => void) {
      driven.set(runId, callback);
      // A driver that lost the run may outlive the next one's beginning, in this same process.
      return () => void (driven.get(runId) === callback && driven.delete(runId));
    },
  };
  return {
    leases,
    stepSlots,
    contextFor: (deploymentId, alone) => ({
      ...common,
      deploymentId,
      queues: queueNames(jobPrefix, deploymentId),
      alone,
    }),
    locked: async () => locks?.again(),
    stop() {
      stopListening();
      locks?.[Symbol.dispose]();
      runWatch[Symbol.dispose]();
      leases[Symbol.dispose]();
      catching[Symbol.dispose]();
      leftBehind[Symbol.dispose]();
    },
  };
}
