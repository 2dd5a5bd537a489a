import type { RunSteps } from './run-steps.ts';

/** As long as the last replay took, times this. */
const WHILE_EXECUTING = 3;
const LONGEST_MS = 10_000;

export interface Rest {
  /** For how long the next replay has to wait. */
  ms(): number;
  /** A replay has ended that began then. */
  replayed(beganAt: number): void;
}

/**
 * Steps that end one after the other share a replay: with many of them pending, one takes longer than all of
 * their results.
 */
export function createRest(steps: Pick<RunSteps, 'executing' | 'queued'>): Rest {
  let endedAt = 0;
  let tookMs = 0;
  return {
    ms() {
      const factor = steps.executing ? WHILE_EXECUTING : steps.queued ? 1 : 0;
      return Math.max(0, endedAt + Math.min(factor * tookMs, LONGEST_MS) - performance.now());
    },
    replayed(beganAt) {
      endedAt = performance.now();
      tookMs = endedAt - beganAt;
    },
  };
}
