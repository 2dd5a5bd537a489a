import type { Pool } from 'pg';

export interface DatabaseClock {
  /** Milliseconds since 1970, by the clock of the database; off by half a round trip at most. */
  now(): number;
  /** Asks the database. @throws what the statement throws; the clock goes on */
  measure(): Promise<void>;
}

/**
 * The one clock of all workers. It runs on this machine's monotonic timer, so neither a wrong clock
 * nor one that is set right while we run can be noticed. Not usable before its first `measure`.
 */
export async function startDatabaseClock(pool: Pool): Promise<DatabaseClock> {
  let ahead: number | undefined;
  const clock: DatabaseClock = {
    now: () => Math.floor(performance.now() + (ahead ?? 0)),
    async measure() {
      const sentAt = performance.now();
      const { rows } = await pool.query<{ at: number }>(
        'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS at',
      );
      ahead = narrow(ahead, rows[0]!.at - performance.now(), rows[0]!.at - sentAt);
    },
  };
  await clock.measure();
  return clock;
}

/**
 * The answer was given between sending and receiving: what is outside of that is wrong. An average
 * would take over the delays of a busy process; this one is moved by proof only.
 */
export function narrow(estimate: number | undefined, least: number, most: number): number {
  if (estimate === undefined) return (least + most) / 2;
  return Math.min(Math.max(estimate, least), most);
}
