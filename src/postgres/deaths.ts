import type { ClientBase } from 'pg';

/** After so many deaths without a recorded result, a run is driven alone in a process of its own. */
export const ALONE_AFTER_DEATHS = 5;

/** After so many it is failed. */
export const DEAD_AFTER_DEATHS = 8;

/** Whether the run, and all of its steps, belong into a process that has nothing else to do. */
export function mustBeAlone(deaths: number): boolean {
  return deaths >= ALONE_AFTER_DEATHS;
}

/**
 * A process that held several jobs of a run, one of them for a moment only, is missed more than once.
 * The next one cannot have died, and been missed, so soon: see the times in orphaned-jobs.ts.
 */
const SAME_DEATH = '1.4 seconds';

/** Charges a run with the death of a process that held a job of it, or several. */
export async function recordDeath(client: ClientBase, runId: string): Promise<void> {
  await client.query(
    `UPDATE workflow_engine.run_progress SET deaths = deaths + 1, died_at = now()
     WHERE run_id = $1 AND (died_at IS NULL OR died_at < now() - interval '${SAME_DEATH}')`,
    [runId],
  );
}
