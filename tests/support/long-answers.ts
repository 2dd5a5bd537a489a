import type { Application } from './application.ts';
import { areGone, runningClis, type ProcessInfo } from './processes.ts';
import type { Program } from './program.ts';
import { until } from './until.ts';

/** One sentence, which the simulated model quotes: its answer takes half a minute. */
export const LONG_TEXT = 'The zeppelin was late and beautiful, '.repeat(400);

/** The CLIs of these workers, once there are as many. */
export async function clisOf(workers: readonly Program[], count: number): Promise<ProcessInfo[]> {
  return until(`${count} CLIs are running`, async () => {
    const clis = (await Promise.all(workers.map(({ pid }) => runningClis(pid)))).flat();
    return clis.length === count && clis;
  });
}

/** Resolves when the run is cancelled, with the milliseconds from then until the processes were gone, 3,000 at most. */
export async function msUntilKilled(app: Application, runId: string, clis: readonly ProcessInfo[]): Promise<number> {
  await app.ended(runId);
  const since = performance.now();
  await until('the CLIs are gone', () => areGone(clis), 3_000);
  return Math.round(performance.now() - since);
}

/** The jobs of a run that are queued or active. */
export async function openJobs(app: Application, runId: string): Promise<{ name: string; state: string }[]> {
  return app.query(
    `SELECT name, state::text FROM workflow_queue.job WHERE state <= 'active' AND data::text LIKE '%' || $1 || '%'`,
    [runId],
  );
}
