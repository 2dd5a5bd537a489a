import type { StepMessage } from '../runtime/scope.ts';
import type { Slots } from './slots.ts';

/** How often it is asked what to keep. */
const LOOK_INTERVAL_MS = 250;

/** A process that did not come to look was busy replaying: it cannot tell what it would have got done. */
const TOO_LATE_MS = 2 * LOOK_INTERVAL_MS;

/** What will not get a slot here within this time, at the rate of the last moments, others may have. */
const KEEP_FOR_MS = 1_000;

export interface Overflow {
  /** Those that wait for a slot of this process. */
  has(stepId: string): boolean;
  readonly size: number;
  add(step: StepMessage): void;
  /** Resolves when none waits any more. */
  settled(): Promise<void>;
}

export interface OverflowOptions {
  slots: Slots;
  /** Nobody wants the steps any more. */
  signal: AbortSignal;
  /** Whether nobody else may have them. */
  alone: boolean;
  /** Executes one, in a slot that is taken for it. */
  execute(step: StepMessage): void;
  /** Gives steps to whoever has room. */
  share(steps: readonly StepMessage[]): Promise<void>;
}

/**
 * Steps for which this process has no room at the moment. Short ones get a slot sooner than the queue
 * would bring them back; long ones go to the queue after a quarter of a second, where other workers take them.
 */
export function createOverflow({ slots, signal, alone, execute, share }: OverflowOptions): Overflow {
  const waiting = new Map<string, StepMessage>();
  let draining: Promise<void> | undefined;

  async function drain(): Promise<void> {
    let lookedAt = performance.now();
    let begun = 0;
    while (waiting.size > 0 && !signal.aborted) {
      const leftMs = lookedAt + LOOK_INTERVAL_MS - performance.now();
      if (await slots.take(Math.max(0, leftMs))) {
        begun += 1;
        const [step] = signal.aborted ? [] : waiting.values();
        if (step) waiting.delete(step.payload.stepId);
        if (step) execute(step);
        else slots.give();
      }
      const elapsedMs = performance.now() - lookedAt;
      if (elapsedMs < LOOK_INTERVAL_MS) continue;
      const kept = Math.floor((begun * KEEP_FOR_MS) / elapsedMs);
      const isKept = alone || signal.aborted || elapsedMs > TOO_LATE_MS;
      const excess = isKept ? [] : [...waiting.values()].slice(kept);
      if (excess.length > 0) await share(excess);
      for (const { payload } of excess) waiting.delete(payload.stepId);
      lookedAt = performance.now();
      begun = 0;
    }
    waiting.clear();
    draining = undefined;
  }

  return {
    has: (stepId) => waiting.has(stepId),
    get size() {
      return waiting.size;
    },
    add(step) {
      // Nothing would take it out again.
      if (signal.aborted) return;
      waiting.set(step.payload.stepId, step);
      draining ??= drain();
    },
    settled: async () => draining,
  };
}
