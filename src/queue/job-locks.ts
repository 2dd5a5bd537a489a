import type { Session } from '../postgres/session.ts';

/** What comes and goes between two looks is never locked. The sweep gives new jobs a second. */
const INTERVAL_MS = 200;

/** An arbitrary number, so that the locks are nobody else's. */
export const JOB_LOCK_SEED = 7_205_759;

export interface JobLocks {
  /** Locks what is held and unlocks what is not, now. A session that is not open does so when it opens. */
  look(): Promise<void>;
  stop(): void;
}

/**
 * Keeps a session advisory lock for each job that this process holds. When the process dies, the
 * kernel closes its socket, the server drops the locks, and the sweep sees it in half a second
 * instead of after a lapsed heartbeat. Shared locks: nobody ever waits for one.
 * @param heldJobIds the jobs at this moment
 */
export function keepJobLocks(session: Session, heldJobIds: () => ReadonlySet<string>): JobLocks {
  let locked = new Set<string>();
  let looking: Promise<void> | undefined;

  session.prepare(async (client) => {
    // A new session has no locks. What is held is locked again before anybody misses it.
    locked = new Set(heldJobIds());
    if (locked.size > 0) await client.query(LOCK, [[...locked]]);
  });

  const update = async () => {
    if (!session.isOpen) return;
    const held = heldJobIds();
    const gained = [...held].filter((id) => !locked.has(id));
    const gone = [...locked].filter((id) => !held.has(id));
    // If the session is lost over it, the next one begins anew.
    locked = new Set(held);
    if (gained.length > 0) await session.query(LOCK, [gained]);
    if (gone.length > 0) await session.query(UNLOCK, [gone]);
  };

  const look = () =>
    (looking ??= update()
      .catch(() => undefined)
      .finally(() => (looking = undefined)));

  const timer = setInterval(() => void look(), INTERVAL_MS);
  return { look, stop: () => clearInterval(timer) };
}

const KEY = `hashtextextended(id, ${JOB_LOCK_SEED})`;
const LOCK = `SELECT pg_advisory_lock_shared(${KEY}) FROM unnest($1::text[]) AS id`;
const UNLOCK = `SELECT pg_advisory_unlock_shared(${KEY}) FROM unnest($1::text[]) AS id`;
