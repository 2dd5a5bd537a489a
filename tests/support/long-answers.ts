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

/** Resolves when the processes are gone, with the milliseconds since the run was cancelled, 3,000 at most. */
export async function msUntilKilled(app: Application, runId: string, clis: readonly ProcessInfo[]): Promise<number> {
  await app.ended(runId);
  await until('the CLIs are gone', () => areGone(clis), 3_000);
  const [{ ms } = { ms: NaN }] = await app.query<{ ms: number }>(
    `SELECT round(extract(epoch FROM now() - completed_at AT TIME ZONE 'UTC') * 1000)::integer AS ms
     FROM workflow_runs WHERE id = $1`,
    [runId],
  );
  return ms;
}

/** The jobs of a run that are queued or active. */
export async function openJobs(app: Application, runId: string): Promise<{ name: string; state: string }[]> {
  return app.query(
    `SELECT name, state::text FROM workflow_queue.job WHERE state <= 'active' AND data::text LIKE '%' || $1 || '%'`,
    [runId],
  );
}
