import { SPEC_VERSION_CURRENT } from '@workflow/world';
import { ALONE_AFTER_DEATHS, DEAD_AFTER_DEATHS } from '../postgres/deaths.ts';
import { readProgress } from '../postgres/run-progress.ts';
import currentWorld from '../runtime/current-world.ts';
import type { RunLog } from '../runtime/run-log.ts';
import { GarbageError, MustRunAloneError, runInScope, type Lease } from '../runtime/scope.ts';
import type { DriverContext } from './drive-run.ts';
import { createReplayScope } from './replay-run.ts';

/**
 * Starts a run, unless it was started before, and loads its log: one statement. Of a run that workers died of,
 * which may have been its log, only the number of deaths is read, where somebody else is to drive it. Whatever
 * else it is refused for, its replay will find out: the run has ended, its first message is all that there is of
 * it, the lease is lost, the database is away, or an event cannot be read.
 * @returns how many workers died of it, as far as that matters here
 * @throws GarbageError for a run of another application
 */
export async function openRun(runId: string, lease: Lease, log: RunLog, context: DriverContext): Promise<number> {
  const { pool, alone } = context;
  const deathsLimit = alone ? DEAD_AFTER_DEATHS : ALONE_AFTER_DEATHS;
  const scope = createReplayScope(runId, lease, { log, alone, deathsLimit });
  const started = { eventType: 'run_started', specVersion: SPEC_VERSION_CURRENT } as const;
  const stopListening = context.onWake(runId, log.doubt);
  try {
    await runInScope(scope, () => currentWorld().events.create(runId, started));
  } catch (error) {
    if (error instanceof GarbageError) throw error;
    if (error instanceof MustRunAloneError) return (await readProgress(pool, runId)).deaths;
  } finally {
    stopListening();
  }
  return 0;
}
