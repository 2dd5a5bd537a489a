import { randomUUID } from 'node:crypto';
import type { ClientBase, Pool } from 'pg';
import { DATABASE_PATIENCE_MS, retryTransient } from './transient.ts';

export interface ModelCall {
  jobPrefix: string;
  runId: string;
  stepId: string;
  /** Which execution of the step asks. */
  execution: number;
  model: string;
  simulated: boolean;
}

/** What a call used; undefined where nobody said. */
export interface TokenUsage {
  /** All of them, also those from the provider's cache. */
  inputTokens?: number | undefined;
  cachedTokens?: number | undefined;
  outputTokens?: number | undefined;
  costUsd?: number | undefined;
  /** The call was cut off: its output was counted by the characters that came, and its cost is not known. */
  estimated?: boolean;
}

/**
 * How a call ended. `aborted`: its process was killed, because the run was cancelled, the step took too
 * long, or its worker stopped. (`lost`, in the table: its worker died with it.)
 */
export interface CallEnd extends TokenUsage {
  outcome: 'completed' | 'failed' | 'aborted';
  /** HTTP status, of a failure that has one. */
  apiStatus?: number | undefined;
  error?: string | undefined;
  firstTokenMs?: number | undefined;
  totalMs?: number | undefined;
}

/**
 * Writes down that a call begins, unless `signal` fires. Returns its id.
 * @throws Error when the run has ended: nobody would close the row, or want the answer
 */
export async function openModelCall(pool: Pool, call: ModelCall, signal: AbortSignal): Promise<string> {
  const id = randomUUID();
  const { rowCount } = await retryTransient(
    () =>
      pool.query(
        // The lock: the end of the run, which closes all rows, comes before this one or finds it.
        `WITH running AS (
           SELECT id FROM workflow.workflow_runs WHERE id = $3 AND status IN ('pending', 'running') FOR SHARE)
         INSERT INTO workflow_engine.model_calls (id, job_prefix, run_id, step_id, execution, model, simulated)
         SELECT $1, $2, id, $4, $5, $6, $7 FROM running
         ON CONFLICT (id) DO UPDATE SET model = EXCLUDED.model`,
        [id, call.jobPrefix, call.runId, call.stepId, call.execution, call.model, call.simulated],
      ),
    DATABASE_PATIENCE_MS,
    signal,
  );
  if (rowCount === 0) throw new Error(`No call for ${call.stepId}: its run has ended.`);
  return id;
}

/** Completes the rows of calls, by their ids: with the event of their step, or after it was given up. */
export async function closeModelCalls(client: ClientBase | Pool, calls: ReadonlyMap<string, CallEnd>): Promise<void> {
  for (const [id, end] of calls) {
    const { outcome, inputTokens, cachedTokens, outputTokens, costUsd, estimated = false } = end;
    await client.query(
      `UPDATE workflow_engine.model_calls
       SET outcome = $2, ended_at = now(), input_tokens = $3, cached_tokens = $4, output_tokens = $5, cost_usd = $6,
           estimated = $7, api_status = $8, error = $9, first_token_ms = $10, total_ms = $11
       WHERE id = $1`,
      [id, outcome, inputTokens, cachedTokens, outputTokens, costUsd, estimated]
        .concat([end.apiStatus, end.error, end.firstTokenMs, end.totalMs])
        .map((value) => value ?? null),
    );
  }
}

/**
 * Closes the calls that nobody else will, when the run ends; `start_steps` does it for an execution whose
 * worker died, when the next one begins. Should its process be alive after all, it writes over that.
 */
export async function closeLostCalls(client: ClientBase, runId: string): Promise<void> {
  await client.query('SELECT workflow_engine.close_lost_calls($1, NULL)', [runId]);
}
