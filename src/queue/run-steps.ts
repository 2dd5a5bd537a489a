import type { EventResult } from '@workflow/world';
import type { RunLog } from '../runtime/run-log.ts';
import { MustRunAloneError, type Lease, type StepMessage } from '../runtime/scope.ts';
import type { DriverContext } from './drive-run.ts';
import { executeStep } from './execute-step.ts';
import { encodePayload } from './messages.ts';
import { createOverflow } from './overflow.ts';

const LOST_STEPS_INTERVAL_MS = 10_000;
const REDELIVERY_SECONDS = 1;
const LOOK_AGAIN_SECONDS = 3;

/** What becomes of the steps that the replays of one driver ask for. */
export interface RunSteps {
  /** Those that came into being under this lease; they cannot be running anywhere else. */
  readonly created: Set<string>;
  /** Whether one is being executed in this process, or about to be. */
  readonly executing: boolean;
  /** Whether others may be executing one, or have it before them. */
  readonly queued: boolean;
  /** Reserves slots for steps that begin with their creation, at most `count`; `dispatch` uses them. */
  reserve(count: number): number;
  /**
   * Executes them here, or sends them to the queue; the ones that are there already it leaves alone.
   * @param started those that have begun, in a reserved slot
   */
  dispatch(steps: readonly StepMessage[], started: ReadonlyMap<string, EventResult>): Promise<void>;
  /** Gives back what was reserved and not used; all of it, if no number is given. */
  giveBack(count?: number): void;
  /** The log was found to be another one: what came into being under this lease is not known any more. */
  forgetCreated(): void;
  /**
   * Forgets steps whose jobs are gone without a result, so that they are dispatched again: nobody else
   * would miss them while the run is active. Looks every ten seconds.
   * @returns whether there were any
   */
  forgetLost(): Promise<boolean>;
  /** The run has ended: nobody wants their results. */
  abort(): void;
  /** Resolves when none is being executed here any more. */
  settled(): Promise<void>;
}

/** @param onNews called when a step has ended here, or is to be dispatched again */
export function createRunSteps(
  runId: string,
  lease: Lease,
  context: DriverContext,
  runLog: RunLog,
  onNews: () => void,
): RunSteps {
  const { jobs, queues, stepSlots, alone, report } = context;
  const created = new Set<string>();
  const executing = new Map<string, Promise<void>>();
  const queued = new Set<string>();
  const ended = new AbortController();
  const signal = AbortSignal.any([lease.signal, ended.signal]);
  let lookedForLost = performance.now();
  let reserved = 0;

  const toQueue = async (steps: readonly StepMessage[], delaySeconds?: number) => {
    const ids = steps.map(({ payload }) => payload.stepId);
    for (const id of ids) queued.add(id);
    const messages = steps.map(({ queueName, payload }) => ({
      key: payload.stepId,
      data: { queueName, payload: encodePayload(payload) },
    }));
    await jobs.sendSteps(queues.steps, messages, delaySeconds, lease).catch((error: unknown) => {
      // They may be there all the same: whoever asks next, asks the queue.
      for (const id of ids) if (queued.delete(id)) created.delete(id);
      throw error;
    });
  };

  /** Alone, there is no queue: the driver looks again by itself, or the sweep does once the run is parked. */
  const later = async (step: StepMessage, delaySeconds: number) => {
    if (!alone) return toQueue([step], delaySeconds);
    const { stepId } = step.payload;
    queued.add(stepId);
    const again = () => {
      queued.delete(stepId);
      onNews();
    };
    setTimeout(again, 1_000 * delaySeconds).unref();
  };

  const executeHere = async (step: StepMessage, started?: EventResult) => {
    let hasSlot = true;
    const giveSlot = () => {
      if (hasSlot) stepSlots.give();
      hasSlot = false;
    };
    try {
      const again = await executeStep(step, lease, { ...context, signal, ended: giveSlot, runLog, started });
      if (again !== undefined) await later(step, again);
    } catch (error) {
      // Not an answer of the step: it was aborted, or the database is gone. If it is still wanted, queue it.
      if (!signal.aborted && !(error instanceof MustRunAloneError)) {
        report(`Step ${step.payload.stepId}`, error);
        await later(step, REDELIVERY_SECONDS).catch((cause: unknown) => report(`Run ${runId}`, cause));
      }
    } finally {
      executing.delete(step.payload.stepId);
      giveSlot();
      onNews();
    }
  };

  const begin = (step: StepMessage, started?: EventResult) =>
    void executing.set(step.payload.stepId, executeHere(step, started));

  const share = async (steps: readonly StepMessage[]) => {
    await toQueue(steps).catch((error: unknown) => report(`Run ${runId}`, error));
    onNews();
  };
  const overflow = createOverflow({ slots: stepSlots, signal, alone, execute: begin, share });

  return {
    created,
    get executing() {
      return executing.size + overflow.size > 0;
    },
    get queued() {
      return queued.size > 0;
    },

    reserve(count) {
      let taken = 0;
      while (taken < count && !signal.aborted && stepSlots.tryTake()) taken += 1;
      reserved += taken;
      return taken;
    },

    giveBack(count = reserved) {
      for (let n = Math.min(count, reserved); n > 0; n -= 1) {
        reserved -= 1;
        stepSlots.give();
      }
    },

    async dispatch(steps, startedSteps) {
      const unfinished = new Set(steps.map(({ payload }) => payload.stepId));
      // Should one be asked for again, it may be executed elsewhere.
      for (const stepId of queued) if (!unfinished.has(stepId) && queued.delete(stepId)) created.delete(stepId);
      const elsewhere: StepMessage[] = [];
      for (const step of steps) {
        const { stepId } = step.payload;
        const started = startedSteps.get(stepId);
        if (executing.has(stepId) || queued.has(stepId) || overflow.has(stepId)) continue;
        // A step from before this lease may be running elsewhere: its key in the queue finds out.
        const mayBeElsewhere = !created.has(stepId);
        if (started) {
          reserved -= 1;
          begin(step, started);
        } else if (mayBeElsewhere && !alone) elsewhere.push(step);
        else if (mayBeElsewhere && !(await jobs.takeQueuedStep(queues.steps, stepId)))
          await later(step, LOOK_AGAIN_SECONDS);
        else overflow.add(step);
      }
      if (elsewhere.length > 0) await toQueue(elsewhere);
    },

    forgetCreated: () => created.clear(),

    async forgetLost() {
      if (alone || queued.size === 0 || performance.now() - lookedForLost < LOST_STEPS_INTERVAL_MS) return false;
      lookedForLost = performance.now();
      const lost = await jobs.findLostSteps(queues.steps, [...queued]).catch(() => []);
      for (const stepId of lost) queued.delete(stepId);
      return lost.length > 0;
    },

    abort: () => ended.abort('run ended'),
    async settled() {
      await overflow.settled();
      await Promise.all(executing.values());
    },
  };
}
