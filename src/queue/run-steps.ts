import { executeStep } from './execute-step.ts';
import type { DriverContext } from './drive-run.ts';
import { encodePayload, type JobData } from './messages.ts';
import { MustRunAloneError, type Lease, type StepMessage } from '../runtime/scope.ts';

const LOST_STEPS_INTERVAL_MS = 10_000;
const REDELIVERY_SECONDS = 1;
const LOOK_AGAIN_SECONDS = 3;

/** What becomes of the steps that the replays of one driver ask for. */
export interface RunSteps {
  /** Those that came into being under this lease; they cannot be running anywhere else. */
  readonly created: Set<string>;
  /** Whether one is being executed in this process. */
  readonly executing: boolean;
  /** Executes them here, or sends them to the queue; the ones that are there already it leaves alone. */
  dispatch(steps: readonly StepMessage[]): Promise<void>;
  /**
   * Forgets steps whose jobs are gone without a result, so that they are dispatched again: nobody else
   * would miss them while the run is active. Looks every ten seconds.
   * @returns whether there were any
   */
  forgetLost(): Promise<boolean>;
  /** The run has ended: nobody wants their results. */
  abort(): void;
  /** Resolves when none is being executed here any more. */
  settled(): Promise<unknown>;
}

/** @param onNews called when a step has ended here, or is to be dispatched again */
export function createRunSteps(runId: string, lease: Lease, context: DriverContext, onNews: () => void): RunSteps {
  const { jobs, queues, stepSlots, alone, report } = context;
  const created = new Set<string>();
  const executing = new Map<string, Promise<void>>();
  const queued = new Set<string>();
  const ended = new AbortController();
  const signal = AbortSignal.any([lease.signal, ended.signal]);
  let lookedForLost = performance.now();

  const toQueue = async ({ queueName, payload }: StepMessage, delaySeconds?: number) => {
    const data: JobData = { queueName, payload: encodePayload(payload) };
    await jobs.sendStep(queues.steps, payload.stepId, data, delaySeconds, lease);
    queued.add(payload.stepId);
  };

  /** Alone, there is no queue: the driver looks again by itself, or the sweep does once the run is parked. */
  const later = async (step: StepMessage, delaySeconds: number) => {
    if (!alone) return toQueue(step, delaySeconds);
    const { stepId } = step.payload;
    queued.add(stepId);
    const again = () => {
      queued.delete(stepId);
      onNews();
    };
    setTimeout(again, 1_000 * delaySeconds).unref();
  };

  const executeHere = async (step: StepMessage) => {
    try {
      const again = await executeStep(step, lease, { ...context, signal });
      if (again !== undefined) await later(step, again);
    } catch (error) {
      // Not an answer of the step: it was aborted, or the database is gone. If it is still wanted, queue it.
      if (!signal.aborted && !(error instanceof MustRunAloneError)) {
        report(`Step ${step.payload.stepId}`, error);
        await later(step, REDELIVERY_SECONDS).catch((cause: unknown) => report(`Run ${runId}`, cause));
      }
    } finally {
      executing.delete(step.payload.stepId);
      stepSlots.give();
      onNews();
    }
  };

  return {
    created,
    get executing() {
      return executing.size > 0;
    },

    async dispatch(steps) {
      for (const step of steps) {
        const { stepId } = step.payload;
        if (executing.has(stepId) || queued.has(stepId)) continue;
        // A step from before this lease may be running elsewhere: its key in the queue finds out.
        const mayBeElsewhere = !created.has(stepId);
        if (mayBeElsewhere && !alone) await toQueue(step);
        else if (mayBeElsewhere && !(await jobs.takeQueuedStep(queues.steps, stepId)))
          await later(step, LOOK_AGAIN_SECONDS);
        else if (await stepSlots.take()) executing.set(stepId, executeHere(step));
        // Alone, it gets the next slot that is free.
        else if (!alone) await toQueue(step);
      }
    },

    async forgetLost() {
      if (alone || queued.size === 0 || performance.now() - lookedForLost < LOST_STEPS_INTERVAL_MS) return false;
      lookedForLost = performance.now();
      const lost = await jobs.findLostSteps(queues.steps, [...queued]).catch(() => []);
      for (const stepId of lost) queued.delete(stepId);
      return lost.length > 0;
    },

    abort: () => ended.abort('run ended'),
    settled: () => Promise.all(executing.values()),
  };
}
