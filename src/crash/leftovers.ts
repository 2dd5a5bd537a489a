import { hostname } from 'node:os';
import type { Pool } from 'pg';
import { ConfigError } from '../config/config.ts';
import { findWorkers } from '../postgres/workers.ts';
import type { RunningWorld } from '../runtime/current-world.ts';

/**
 * Cancels what a crash example that was killed itself has left: this one's workers would go on with it.
 * @throws ConfigError while another one is running
 */
export async function clearLeftovers({ pool, config, findUnfinishedRuns }: RunningWorld): Promise<void> {
  const [other] = await findWorkers(pool, config.jobPrefix);
  if (other) {
    throw new ConfigError(
      `Another crash example runs on this database, or was just killed: worker ${other.host}:${other.pid}.\n` +
        '  Wait for its end, or 15 seconds.',
    );
  }
  for (const { runId } of await findUnfinishedRuns()) await cancelRun(runId);
}

/** Nobody is to find it among the unfinished ones. */
export async function cancelRun(runId: string): Promise<void> {
  // Imported late: the runtime looks for the World when it is loaded.
  const { getRun } = await import('workflow/api');
  await getRun(runId).cancel();
}

/** Its entry among the workers, which would look alive for another 15 s. */
export async function forgetWorker(pool: Pool, pid: number): Promise<void> {
  await pool.query('DELETE FROM workflow_engine.workers WHERE host = $1 AND pid = $2', [hostname(), pid]);
}
