import { isDeepStrictEqual } from 'node:util';
import { CHUNKS, type Outcome } from './run-through-restarts.ts';

export interface RestartsReport {
  runs: number;
  restarts: number;
  seconds: number;
  /** Executions of steps that were cut off, and made again. */
  interruptions: number;
  problems: string[];
}

const SPOKEN = Array.from({ length: CHUNKS }, (_, n) => n);

/** What is wrong after it, a sentence each. */
export async function examine({ database, runIds, restarts, seconds }: Outcome): Promise<RestartsReport> {
  const { getRun } = await import('workflow/api');
  const problems: string[] = [];
  const rows = await database.query<{ problem: string }>(`
    SELECT id || ' is ' || status || coalesce(': ' || error, '') AS problem FROM workflow_runs WHERE status <> 'completed'
    UNION ALL
    SELECT correlation_id || ' has ' || type || ' ' || count(*) || ' times' FROM workflow_events
    WHERE type = 'step_completed' GROUP BY correlation_id, type HAVING count(*) > 1
    UNION ALL
    SELECT correlation_id || ' has used up an attempt' FROM workflow_events WHERE type IN ('step_retrying', 'step_failed')
    UNION ALL
    SELECT stream_id || ' has ' || count(*) FILTER (WHERE eof) || ' ends' FROM workflow_stream_chunks
    GROUP BY stream_id HAVING count(*) FILTER (WHERE eof) <> 1`);
  problems.push(...rows.map(({ problem }) => problem));
  for (const runId of runIds) {
    const run = getRun<number>(runId);
    if ((await run.status) !== 'completed') continue;
    const attempt = await run.returnValue;
    if (attempt !== 1) problems.push(`${runId}: its step counted ${attempt} attempts`);
    const chunks: unknown[] = [];
    for await (const chunk of run.getReadable()) chunks.push(chunk);
    if (!isDeepStrictEqual(chunks.slice(-CHUNKS), SPOKEN)) problems.push(`${runId}: its stream is ${chunks.join(' ')}`);
  }
  const [sums] = await database.query<{ interruptions: number }>(
    'SELECT coalesce(sum(interruptions), 0)::int AS interruptions FROM workflow_engine.step_progress',
  );
  return { runs: runIds.length, restarts, seconds, interruptions: sums?.interruptions ?? 0, problems };
}

export function describeReport({ runs, restarts, seconds, interruptions, problems }: RestartsReport): string {
  const head = `${runs} runs, ${restarts} restarts, ${seconds} s; ${interruptions} executions were cut off and made again`;
  const most = problems.slice(0, 20).map((problem) => `✗ ${problem}`);
  return [head, ...most, problems.length === 0 ? '✓ nothing was lost' : `✗ ${problems.length} problems`].join('\n');
}
