import { every, type Repeated } from '../health/every.ts';
import type { Health } from '../health/health.ts';
import type { Session } from '../postgres/session.ts';

/** What comes and goes between two looks is never locked. The sweep gives new jobs a second. */
const INTERVAL_MS = 200;

/** An arbitrary number, so that the locks are nobody else's. */
export const JOB_LOCK_SEED = 7_205_759;

/**
 * Keeps a session advisory lock for each job that this process holds. When the process dies, the
 * kernel closes its socket, the server drops the locks, and the sweep sees it in half a second
 * instead of after a lapsed heartbeat. Shared locks, which are tried: nobody ever waits for one. Any role that
 * may connect can take them, too. With a shared one, it keeps the job of a dead worker from being missed; with
 * an exclusive one, ours as well, and then that lock itself says that the job has a holder. Either way, the
 * heartbeat decides, ten seconds later.
 * @param heldJobIds the jobs at this moment
 * @returns `again` locks what is held, and unlocks what is not, now. A session that is not open does so when it opens.
 */
export function keepJobLocks(session: Session, heldJobIds: () => ReadonlySet<string>, health: Health): Repeated {
  let locked = new Set<string>();

  session.prepare(async (client) => {
    // A new session has no locks. What is held is locked again before anybody misses it.
    locked = new Set();
    const held = [...heldJobIds()];
    if (held.length > 0) note(locked, await client.query(LOCK, [held]));
  });

  const update = async () => {
    if (!session.isOpen) return;
    const held = heldJobIds();
    const gained = [...held].filter((id) => !locked.has(id));
    const gone = [...locked].filter((id) => !held.has(id));
    // If the session is lost over it, the next one begins anew.
    const ours = locked;
    for (const id of gone) ours.delete(id);
    if (gained.length > 0) note(ours, await session.query(LOCK, [gained]));
    if (gone.length > 0) await session.query(UNLOCK, [gone]);
  };

  return every(INTERVAL_MS, health.of('Locking the jobs'), update);
}

function note(locked: Set<string>, result: unknown): void {
  for (const { id } of (result as { rows: { id: string }[] }).rows) locked.add(id);
}

const KEY = `hashtextextended(id, ${JOB_LOCK_SEED})`;
const LOCK = `SELECT id FROM unnest($1::text[]) AS id WHERE pg_try_advisory_lock_shared(${KEY})`;
const UNLOCK = `SELECT pg_advisory_unlock_shared(${KEY}) FROM unnest($1::text[]) AS id`;
