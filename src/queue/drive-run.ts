import type { Pool } from 'pg';
import { readProgress } from '../postgres/run-progress.ts';
import { isTransient } from '../postgres/transient.ts';
import { mustBeAlone } from '../postgres/deaths.ts';
import { createNews } from '../runtime/news.ts';
import { createRunLog } from '../runtime/run-log.ts';
import { LeaseLostError, type Lease } from '../runtime/scope.ts';
import type { QueueNames } from './boss.ts';
import type { Jobs } from './jobs.ts';
import { wasLost } from './leases.ts';
import type { JobData } from './messages.ts';
import type { LeftBehindReport } from './report-left-behind.ts';
import type { Report, Trace } from './report.ts';
import { createRunReader } from './read-run.ts';
import { replayRun } from './replay-run.ts';
import { createRest } from './rest.ts';
import { createRunSteps } from './run-steps.ts';
import type { RunWatch } from './run-watch.ts';
import type { Slots } from './slots.ts';

/** A job cannot be active for more than a day; a run may be. */
const HAND_OVER_AFTER_MS = 3_600_000;

/** Beneath the notifications. */
const POLL_INTERVAL_MS = 3_000;

const AFTER_OUTAGE_MS = 1_000;

/** One that waits for the database, or for something that will never be, is not to hold up those of other runs. */
const REPLAY_PATIENCE_MS = 5_000;

export interface DriverContext {
  pool: Pool;
  jobs: Jobs;
  queues: QueueNames;
  deploymentId: string;
  stepSlots: Slots;
  replaySlots: Slots;
  runWatch: RunWatch;
  /** Whether this process has nothing but this run, and executes all of its steps: workers died of it. */
  alone: boolean;
  log(line: string): void;
  report: Report;
  leftBehind: LeftBehindReport;
  trace: Trace;
  /** Calls back when somebody wakes the run; returns what stops that. */
  onWake(runId: string, callback: () => void): () => void;
  /** Of the listener: how long a wake may go unnoticed if nobody calls back. */
  pollIntervalMs: number;
}

/**
 * Drives a run for as long as this process holds its lease and there is something to do: replay,
 * execute what the replay asks for, replay again, park. See "The life of one run" in docs/ARCHITECTURE.md.
 * @param log what is known of the run already
 */
export async function driveRun(
  runId: string,
  job: JobData,
  lease: Lease,
  context: DriverContext,
  log = createRunLog(),
): Promise<void> {
  const { pool, jobs, queues, alone, replaySlots, leftBehind } = context;
  const pollIntervalMs = Math.min(POLL_INTERVAL_MS, context.pollIntervalMs);
  const news = createNews();
  const startedAt = performance.now();
  const continuation: JobData = { queueName: job.queueName, payload: { runId } };

  const steps = createRunSteps(runId, lease, context, log, news.announce);
  const readRun = createRunReader({
    pool,
    runId,
    log,
    signal: lease.signal,
    pollIntervalMs,
    onForgotten: steps.forgetCreated,
  });
  const rest = createRest(steps);
  const isOverdue = () => performance.now() - startedAt > HAND_OVER_AFTER_MS;

  /** Until there is something to replay for. `dueInSeconds`: the next timer of the run. */
  const waitForNews = async (seenSeq: number, dueInSeconds = Infinity) => {
    const dueAt = performance.now() + dueInSeconds * 1_000;
    for (;;) {
      if (await news.wait(Math.min(pollIntervalMs, Math.max(0, dueAt - performance.now())))) return;
      log.doubt();
      if (performance.now() >= dueAt || lease.signal.aborted) return;
      const now = await readProgress(pool, runId).catch(() => undefined);
      if (now && now.wakeSeq !== seenSeq) return;
      if (await steps.forgetLost()) return;
    }
  };

  // Until a replay has succeeded, the first message may be all that there is of the run.
  let message = job;

  /** Replays over all that there is now; undefined where the run is not to be driven here any more. */
  const replayNow = async () => {
    const { wakeSeq, deaths } = await readRun();
    const mustRunAlone = !alone && mustBeAlone(deaths);
    if (lease.signal.aborted || (mustRunAlone && !steps.executing)) return undefined;
    const beganAt = performance.now();
    let isReplaying = true;
    const reserve = (count: number) => (!isReplaying || mustRunAlone || isOverdue() ? 0 : steps.reserve(count));
    const { giveBack, created: createdSteps } = steps;
    const replay = await replayRun(runId, message, lease, { log, alone, reserve, giveBack, createdSteps }).finally(
      () => (isReplaying = false),
    );
    rest.replayed(beganAt);
    if (replay.failure !== undefined) context.log(`Run ${runId} has failed: ${replay.failure}`);
    const seenSeq = wakeSeq + replay.ownEvents;
    // Of a step that has ended meanwhile, nobody knows whether the replay saw it.
    if (log.wakeSeq !== seenSeq) log.doubt();
    return { seenSeq, replay, mustRunAlone };
  };

  /** One replay and what follows from it; true when the run was given back. */
  const turn = async (): Promise<boolean> => {
    for (let ms = rest.ms(); ms > 0 && !lease.signal.aborted; ms = rest.ms()) await news.wait(ms);
    const replayed = await replaySlots.use(REPLAY_PATIENCE_MS, replayNow);
    if (lease.signal.aborted && !replayed) return false;
    if (!replayed) {
      // Whoever fetches it next gives it a process of its own.
      await jobs.replace(lease, runId, message);
      return true;
    }
    const { seenSeq, replay, mustRunAlone } = replayed;
    const tellUnseen = () => leftBehind.ofReplay(replay, job.queueName.split('//').at(-1)!);
    if (replay.ended) {
      tellUnseen();
      steps.abort();
      if (log.unfinished || !log.run) await jobs.removeQueuedSteps(queues.steps, runId);
    }
    if (lease.signal.aborted) return false;
    if (replay.completed && !steps.executing) {
      await jobs.completeEnded(lease);
      return true;
    }
    if (!steps.executing && replay.requestedSteps.length > 0 && isOverdue()) {
      await jobs.replace(lease, runId, continuation);
      return true;
    }
    await steps.forgetLost();
    if (!mustRunAlone && !replay.ended) await steps.dispatch(replay.requestedSteps, replay.startedSteps);
    steps.giveBack();
    message = replay.again ? { ...continuation, payload: replay.again } : continuation;
    if (replay.again || replay.delaySeconds === 0) return false;
    // Somebody may be about to end a step: to take the run up again would cost as much as that replay.
    if (!steps.executing && steps.queued && (await news.wait(rest.ms()))) return false;
    if (!steps.executing) {
      const { delaySeconds, requestedSteps } = replay;
      const parking = { seenSeq, delaySeconds, awaitsSteps: requestedSteps.length > 0, known: log.lastId };
      const isParked = await jobs.park(lease, runId, continuation, parking);
      if (!isParked) log.doubt();
      else if (!replay.ended) tellUnseen();
      return isParked;
    }
    await waitForNews(seenSeq, replay.delaySeconds);
    return false;
  };

  // An event that is refused can tell before the next refresh of the lease does.
  let refused = false;
  const stopListening = context.onWake(runId, () => {
    log.doubt();
    news.announce();
  });
  lease.signal.addEventListener('abort', news.announce);
  try {
    while (!lease.signal.aborted) {
      try {
        if (await turn()) return;
      } catch (error) {
        // While steps are being executed, a moment without the database is no reason to give the run back.
        if (!isTransient(error) || !steps.executing) throw error;
        log.doubt();
        await news.wait(AFTER_OUTAGE_MS);
      } finally {
        steps.giveBack();
      }
    }
    if (!wasLost(lease)) await jobs.handBack(lease, runId, message);
  } catch (error) {
    refused = error instanceof LeaseLostError;
    throw error;
  } finally {
    stopListening();
    lease.signal.removeEventListener('abort', news.announce);
    await steps.settled();
    // Its new driver may have loaded the log before our last step wrote its result. Without the run's input,
    // which the lost job has: nobody may begin anew a run that was finished, and removed, in the meantime.
    if (refused || wasLost(lease)) {
      await jobs.giveBack(lease, runId, message).catch(() => undefined);
      await jobs.wake(queues.flows, runId, continuation).catch(() => undefined);
    }
  }
}
