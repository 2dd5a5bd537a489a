import type { Pool } from 'pg';
import { every } from '../health/every.ts';
import type { Health } from '../health/health.ts';
import { findEndedRuns } from '../postgres/ended-runs.ts';

const LOOK_INTERVAL_MS = 500;
const LOOK_PATIENCE_MS = 5_000;

export interface RunWatch extends Disposable {
  /** Watches the run of something that is executed here, until that is disposed. */
  watch(runId: string): WatchedRun;
}

interface WatchedRun extends Disposable {
  /** Fires when the run has ended; `reason` says how: `run cancelled`, `run completed`, `run failed`, `run gone`. */
  signal: AbortSignal;
}

/**
 * Asks which runs have ended whose steps this process executes, one statement for all of them. Asking,
 * because nobody else can be relied on: notifications do not pass a pooler, the run may have no driver
 * at the moment, and another tool that cancels it tells nobody.
 */
export function createRunWatch(pool: Pool, health: Health): RunWatch {
  const watched = new Map<AbortController, string>();

  async function look(): Promise<void> {
    if (watched.size === 0) return;
    const ended = await findEndedRuns(pool, [...new Set(watched.values())]);
    for (const [aborter, runId] of watched) {
      const how = ended.get(runId);
      if (how) aborter.abort(`run ${how}`);
    }
  }

  const looking = every(LOOK_INTERVAL_MS, health.of('The look for runs that have ended'), look, {
    overtakeAfterMs: LOOK_PATIENCE_MS,
  });

  return {
    watch(runId) {
      const aborter = new AbortController();
      watched.set(aborter, runId);
      return { signal: aborter.signal, [Symbol.dispose]: () => void watched.delete(aborter) };
    },
    [Symbol.dispose]: looking[Symbol.dispose],
  };
}
