import type { Pool } from 'pg';
import { readProgress } from '../postgres/run-progress.ts';
import { isTransient, retryTransient } from '../postgres/transient.ts';
import { mustBeAlone } from '../postgres/deaths.ts';
import { createNews } from '../runtime/news.ts';
import { LeaseLostError, MustRunAloneError, type Lease, type StepMessage } from '../runtime/scope.ts';
import type { QueueNames } from './boss.ts';
import { executeStep } from './execute-step.ts';
import type { Jobs } from './jobs.ts';
import { wasLost } from './leases.ts';
import { encodePayload, type JobData } from './messages.ts';
import type { Report, Trace } from './report.ts';
import { replayRun } from './replay-run.ts';
import type { Slots } from './slots.ts';

/** A job cannot be active for more than a day; a run may be. */
const HAND_OVER_AFTER_MS = 3_600_000;

/** Beneath the notifications. */
const POLL_INTERVAL_MS = 3_000;

const LOST_STEPS_INTERVAL_MS = 10_000;

const REDELIVERY_SECONDS = 1;
const LOOK_AGAIN_SECONDS = 3;

const AFTER_OUTAGE_MS = 1_000;

export interface DriverContext {
  pool: Pool;
  jobs: Jobs;
  queues: QueueNames;
  deploymentId: string;
  stepSlots: Slots;
  /** Whether this process has nothing but this run, and executes all of its steps: workers died of it. */
  alone: boolean;
  log(line: string): void;
  report: Report;
  trace: Trace;
  /** Calls back when somebody wakes the run; returns what stops that. */
  onWake(runId: string, callback: () => void): () => void;
  /** Of the listener: how long a wake may go unnoticed if nobody calls back. */
  pollIntervalMs: number;
}

/**
 * Drives a run for as long as this process holds its lease and there is something to do: replay,
 * execute what the replay asks for, replay again, park. See "The life of one run" in docs/ARCHITECTURE.md.
 */
export async function driveRun(runId: string, job: JobData, lease: Lease, context: DriverContext): Promise<void> {
  const { pool, jobs, queues, stepSlots, alone, report } = context;
  const pollIntervalMs = Math.min(POLL_INTERVAL_MS, context.pollIntervalMs);
  const news = createNews();
  const startedAt = performance.now();
  const executing = new Map<string, Promise<void>>();
  const queued = new Set<string>();
  const createdSteps = new Set<string>();
  const runEnded = new AbortController();
  const stepSignal = AbortSignal.any([lease.signal, runEnded.signal]);
  const continuation: JobData = { queueName: job.queueName, payload: { runId } };

  const toStepQueue = async ({ queueName, payload }: StepMessage, delaySeconds?: number) => {
    const data: JobData = { queueName, payload: encodePayload(payload) };
    await jobs.sendStep(queues.steps, payload.stepId, data, delaySeconds, lease);
    queued.add(payload.stepId);
  };

  /** Alone, there is no queue: the driver looks again by itself, or the sweep does once the run is parked. */
  const later = async (step: StepMessage, delaySeconds: number) => {
    if (!alone) return toStepQueue(step, delaySeconds);
    const { stepId } = step.payload;
    queued.add(stepId);
    const again = () => {
      queued.delete(stepId);
      news.announce();
    };
    setTimeout(again, 1_000 * delaySeconds).unref();
  };

  const executeHere = async (step: StepMessage) => {
    try {
      const again = await executeStep(step, lease, { ...context, signal: stepSignal });
      if (again !== undefined) await later(step, again);
    } catch (error) {
      // Not an answer of the step: it was aborted, or the database is gone. If it is still wanted, queue it.
      if (!stepSignal.aborted && !(error instanceof MustRunAloneError)) {
        report(`Step ${step.payload.stepId}`, error);
        await later(step, REDELIVERY_SECONDS).catch((cause: unknown) => report(`Run ${runId}`, cause));
      }
    } finally {
      executing.delete(step.payload.stepId);
      stepSlots.give();
      news.announce();
    }
  };

  const dispatch = async (steps: readonly StepMessage[]) => {
    for (const step of steps) {
      const { stepId } = step.payload;
      if (executing.has(stepId) || queued.has(stepId)) continue;
      // A step from before this lease may be running elsewhere: its key in the queue finds out.
      const mayBeElsewhere = !createdSteps.has(stepId);
      if (mayBeElsewhere && !alone) await toStepQueue(step);
      else if (mayBeElsewhere && !(await jobs.takeQueuedStep(queues.steps, stepId)))
        await later(step, LOOK_AGAIN_SECONDS);
      else if (stepSlots.tryTake()) executing.set(stepId, executeHere(step));
      // Alone, it gets the next slot that is free.
      else if (!alone) await toStepQueue(step);
    }
  };

  let lookedForLostSteps = performance.now();
  /** Steps whose jobs are gone without a result: nobody else would miss them while the run is active. */
  const forgetLostSteps = async (): Promise<boolean> => {
    if (alone || queued.size === 0 || performance.now() - lookedForLostSteps < LOST_STEPS_INTERVAL_MS) return false;
    lookedForLostSteps = performance.now();
    const lost = await jobs.findLostSteps(queues.steps, [...queued]).catch(() => []);
    for (const stepId of lost) queued.delete(stepId);
    return lost.length > 0;
  };

  /** Until there is something to replay for. `dueInSeconds`: the next timer of the run. */
  const waitForNews = async (seenSeq: number, dueInSeconds = Infinity) => {
    const dueAt = performance.now() + dueInSeconds * 1_000;
    for (;;) {
      if (await news.wait(Math.min(pollIntervalMs, Math.max(0, dueAt - performance.now())))) return;
      if (performance.now() >= dueAt || lease.signal.aborted) return;
      const now = await readProgress(pool, runId).catch(() => undefined);
      if (now && now.wakeSeq !== seenSeq) return;
      if (await forgetLostSteps()) return;
    }
  };

  // Until a replay has succeeded, the first message may be all that there is of the run.
  let message = job;

  /** One replay and what follows from it; true when the run was given back. */
  const turn = async (): Promise<boolean> => {
    const progress = await retryTransient(() => readProgress(pool, runId), POLL_INTERVAL_MS, lease.signal);
    const mustRunAlone = !alone && mustBeAlone(progress.deaths);
    // Whoever fetches it next gives it a process of its own.
    if (mustRunAlone && executing.size === 0) {
      await jobs.replace(lease, runId, message);
      return true;
    }
    const replay = await replayRun(runId, message, lease, createdSteps);
    const seenSeq = progress.wakeSeq + replay.ownEvents;
    if (replay.ended) {
      runEnded.abort('run ended');
      await jobs.cancelSteps(queues.steps, runId);
    }
    if (lease.signal.aborted) return false;
    if (
      executing.size === 0 &&
      replay.requestedSteps.length > 0 &&
      performance.now() - startedAt > HAND_OVER_AFTER_MS
    ) {
      await jobs.replace(lease, runId, continuation);
      return true;
    }
    await forgetLostSteps();
    if (!mustRunAlone) await dispatch(replay.requestedSteps);
    message = replay.again ? { ...continuation, payload: replay.again } : continuation;
    if (replay.again || replay.delaySeconds === 0) return false;
    if (executing.size === 0) {
      const { delaySeconds, requestedSteps } = replay;
      return jobs.park(lease, runId, continuation, { seenSeq, delaySeconds, awaitsSteps: requestedSteps.length > 0 });
    }
    await waitForNews(seenSeq, replay.delaySeconds);
    return false;
  };

  // An event that is refused can tell before the next refresh of the lease does.
  let refused = false;
  const stopListening = context.onWake(runId, news.announce);
  lease.signal.addEventListener('abort', news.announce);
  try {
    while (!lease.signal.aborted) {
      try {
        if (await turn()) return;
      } catch (error) {
        // While steps are being executed, a moment without the database is no reason to give the run back.
        if (!isTransient(error) || executing.size === 0) throw error;
        await news.wait(AFTER_OUTAGE_MS);
      }
    }
    if (!wasLost(lease)) await jobs.handBack(lease, runId, message);
  } catch (error) {
    refused = error instanceof LeaseLostError;
    throw error;
  } finally {
    stopListening();
    lease.signal.removeEventListener('abort', news.announce);
    await Promise.all(executing.values());
    // Its new driver may have loaded the log before our last step wrote its result. Without the run's input,
    // which the lost job has: nobody may begin anew a run that was finished, and removed, in the meantime.
    if (refused || wasLost(lease)) {
      await jobs.giveBack(lease, runId, message).catch(() => undefined);
      await jobs.wake(queues.flows, runId, continuation).catch(() => undefined);
    }
  }
}
