import { conditionOf } from '../postgres/conditions.ts';
import { reasonOf } from '../postgres/reason.ts';

/** A process that has failed in something for so long is not healthy. */
const LASTING_MS = 10_000;

/** How often what lasts is said again. */
const SAY_AGAIN_MS = 60_000;

/** Something that a process does again and again, and cannot do at the moment. */
export interface Trouble {
  task: string;
  /** Since its first failure. */
  forMs: number;
  failures: number;
  reason: string;
}

/** What somebody who does something again and again tells. */
export interface TaskHealth {
  worked(): void;
  /** @param pendingMs how long it has been going on already */
  failed(error: unknown, pendingMs?: number): void;
}

export interface Health {
  of(task: string): TaskHealth;
  readonly troubles: Trouble[];
  /** False when something has failed, and nothing but failed, for ten seconds. */
  readonly healthy: boolean;
}

interface Failing extends Pick<Trouble, 'failures' | 'reason'> {
  cause: string;
  since: number;
}

/** What is said once for all that fail of it. */
interface Cause {
  since: number;
  failures: number;
  well: string;
  saidAt: number;
  isSaid: boolean;
}

/**
 * Knows what fails, and says so: at once, then once a minute with a count, and when it is well again.
 * A database that is away is one cause, whatever fails of it; anything else is its task's own.
 */
export function createHealth(log: (line: string) => void): Health {
  const failing = new Map<string, Failing>();
  const causes = new Map<string, Cause>();

  const isOver = (key: string) => ![...failing.values()].some(({ cause }) => cause === key);

  /** @param isWell false where what failed of it fails of something else now */
  const end = (key: string, isWell: boolean) => {
    const cause = causes.get(key);
    if (!cause || !isOver(key)) return;
    if (cause.isSaid && isWell) log(`✓ ${cause.well}, after ${spanOf(cause.since)}.`);
    // Kept, so that what comes and goes is not said each time.
    Object.assign(cause, { since: Infinity, isSaid: false });
  };

  const tell = (key: string, says: string, well: string, began: number) => {
    const now = performance.now();
    const cause = causes.get(key) ?? { since: Infinity, failures: 0, well, saidAt: -Infinity, isSaid: false };
    causes.set(key, cause);
    if (cause.since === Infinity) Object.assign(cause, { since: began, failures: 0, well });
    cause.failures += 1;
    const isLasting = !cause.isSaid && now - cause.since >= LASTING_MS;
    if (now - cause.saidAt < SAY_AGAIN_MS && !isLasting) return;
    log(`⚠ ${says}${cause.failures > 1 ? ` (for ${spanOf(cause.since)}, ${cause.failures} times)` : ''}`);
    Object.assign(cause, { saidAt: now, isSaid: true });
  };

  return {
    of: (task) => ({
      worked() {
        const before = failing.get(task);
        if (before && failing.delete(task)) end(before.cause, true);
      },
      failed(error, pendingMs = 0) {
        const before = failing.get(task);
        const since = before?.since ?? performance.now() - pendingMs;
        const reason = reasonOf(error);
        const { key, says, well } = conditionOf(error) ?? {
          key: task,
          says: `${task} fails: ${reason}. It is tried again.`,
          well: `${task} works again`,
        };
        failing.set(task, { cause: key, since, failures: (before?.failures ?? 0) + 1, reason });
        if (before && before.cause !== key) end(before.cause, false);
        tell(key, says, well, since);
      },
    }),
    get troubles() {
      const now = performance.now();
      return [...failing].map(([task, { since, failures, reason }]) => ({
        task,
        forMs: now - since,
        failures,
        reason,
      }));
    },
    get healthy() {
      return !this.troubles.some(({ forMs }) => forMs >= LASTING_MS);
    },
  };
}

function spanOf(since: number): string {
  const seconds = (performance.now() - since) / 1_000;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}
