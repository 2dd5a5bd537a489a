import type { PgBoss } from 'pg-boss';
import { every } from '../health/every.ts';
import type { Health } from '../health/health.ts';
import type { Lease } from '../runtime/scope.ts';
import { settled } from './boss.ts';

const REFRESH_INTERVAL_MS = 3_000;
const REFRESH_PATIENCE_MS = 5_000;

/** Without a good refresh for this long, somebody else may well hold our jobs: stop what runs for them. */
const DOUBT_MS = 30_000;

/** Why a lease's signal fired. */
type LeaseEnd = 'lost' | 'shutdown';

export interface Leases extends Disposable {
  /** The lease that a fetched job is. Call `release` once it was completed or given up. */
  hold(queue: string, job: { id: string; retryCount: number }): Lease;
  release(lease: Lease): void;
  /** The jobs that this process has, as far as it knows. */
  heldJobIds(): ReadonlySet<string>;
  /** Ends every lease, also those still to come; their holders hand them back. */
  abortAll(): void;
}

/** Refreshes the heartbeats of all jobs that this process holds, one statement per queue. */
export function createLeases(boss: PgBoss, health: Health): Leases {
  let closed = false;
  let lastGoodRefresh = performance.now();
  // pg-boss keeps a job's id across retries: the same process may hold it again under the next count.
  const held = new Map<string, { lease: Lease; aborter: AbortController }>();
  const keyOf = ({ jobId, retryCount }: Pick<Lease, 'jobId' | 'retryCount'>) => `${jobId}:${retryCount}`;

  async function refresh(): Promise<void> {
    const began = performance.now();
    const queues = Map.groupBy(held.values(), ({ lease }) => lease.queue);
    for (const [queue, entries] of queues) {
      const attempts = entries.map(({ lease }) => ({ id: lease.jobId, retryCount: lease.retryCount }));
      const ours = new Set(settled(await boss.touch(queue, attempts)));
      for (const { lease, aborter } of entries) {
        if (!ours.has(lease.jobId) && held.has(keyOf(lease))) aborter.abort('lost' satisfies LeaseEnd);
      }
    }
    lastGoodRefresh = began;
  }

  const refreshing = every(REFRESH_INTERVAL_MS, health.of('The refresh of the leases'), refresh, {
    overtakeAfterMs: REFRESH_PATIENCE_MS,
  });
  const doubting = setInterval(() => {
    if (performance.now() - lastGoodRefresh <= DOUBT_MS) return;
    for (const { aborter } of held.values()) aborter.abort('lost' satisfies LeaseEnd);
  }, REFRESH_INTERVAL_MS);

  return {
    hold(queue, { id, retryCount }) {
      const aborter = new AbortController();
      const lease: Lease = { queue, jobId: id, retryCount, signal: aborter.signal };
      if (held.size === 0) lastGoodRefresh = performance.now();
      for (const earlier of held.values()) {
        if (earlier.lease.jobId === id) earlier.aborter.abort('lost' satisfies LeaseEnd);
      }
      held.set(keyOf(lease), { lease, aborter });
      // Fetched while we were stopping.
      if (closed) aborter.abort('shutdown' satisfies LeaseEnd);
      return lease;
    },
    release(lease) {
      held.delete(keyOf(lease));
    },
    heldJobIds() {
      const ours = [...held.values()].filter(({ lease }) => !lease.signal.aborted);
      return new Set(ours.map(({ lease }) => lease.jobId));
    },
    abortAll() {
      closed = true;
      for (const { aborter } of held.values()) aborter.abort('shutdown' satisfies LeaseEnd);
    },
    [Symbol.dispose]() {
      clearInterval(doubting);
      refreshing[Symbol.dispose]();
    },
  };
}

export function wasLost({ signal }: Lease): boolean {
  return signal.aborted && (signal.reason as LeaseEnd) === 'lost';
}
