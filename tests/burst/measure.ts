import { join } from 'node:path';
import type { TestDatabase } from '../support/database.ts';
import { PROJECT, startProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const PROCESS = join(PROJECT, 'tests/fixtures/process.ts');
const PATIENCE_MS = 300_000;

export interface Burst {
  /** Processes that may start at once. */
  limit: number;
  /** From the start of the first step to the first token of each call, in that order. */
  firstTokensMs: number[];
  /** Between two first tokens. */
  longestGapMs: number;
  /** How many places the first token of a call was away from its place among the calls, at most. */
  outOfOrder: number;
  totalMs: number;
}

interface Situation {
  database: TestDatabase;
  start: (workflow: string, args: unknown[]) => Promise<string>;
  calls: number;
  limit: number;
}

/** One run of that many parallel calls, on a worker of its own. */
export async function measureBurst({ database, start, calls, limit }: Situation): Promise<Burst> {
  const worker = startProgram(PROCESS, ['worker'], {
    env: {
      WORKFLOW_POSTGRES_URL: database.url,
      WORKFLOW_POSTGRES_WORKER_CONCURRENCY: String(calls),
      WORKFLOW_MODEL_SPAWNS: String(limit),
      TEST_WORKFLOWS: 'model-workflows.ts',
    },
  });
  await worker.says('"ready":true');
  const prompts = Array.from({ length: calls }, (_, n) => `Question ${n}`);
  const runId = await start('askInParallelWorkflow', [prompts]);
  const state = async () => {
    const [run] = await database.query<{ status: string }>('SELECT status FROM workflow_runs WHERE id = $1', [runId]);
    return run?.status === 'completed';
  };
  await until('all have answered', state, PATIENCE_MS);
  worker.kill('SIGTERM');
  await worker.exited;
  return { limit, ...(await readBurst(database, runId)) };
}

async function readBurst(database: TestDatabase, runId: string): Promise<Omit<Burst, 'limit'>> {
  const rows = await database.query<{ firstTokenMs: number; endMs: number }>(
    `SELECT extract(epoch FROM c.started_at - min(s.started_at AT TIME ZONE 'UTC') OVER ())::float * 1000
              + c.first_token_ms AS "firstTokenMs",
            extract(epoch FROM s.completed_at - min(s.started_at) OVER ())::float * 1000 AS "endMs"
     FROM workflow_engine.model_calls c JOIN workflow_steps s USING (run_id, step_id)
     WHERE run_id = $1 AND c.outcome = 'completed' ORDER BY c.started_at`,
    [runId],
  );
  const asked = rows.map(({ firstTokenMs }) => firstTokenMs);
  const firstTokensMs = asked.toSorted((a, b) => a - b);
  const gaps = firstTokensMs.slice(1).map((at, n) => at - firstTokensMs[n]!);
  return {
    firstTokensMs: firstTokensMs.map(Math.round),
    longestGapMs: Math.round(Math.max(0, ...gaps)),
    outOfOrder: Math.max(...asked.map((at, n) => Math.abs(n - firstTokensMs.indexOf(at)))),
    totalMs: Math.round(Math.max(...rows.map(({ endMs }) => endMs))),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
