import type { Pool } from 'pg';
import { DATABASE_PATIENCE_MS, retryTransient } from './transient.ts';

/** What the model calls of a run used, retries included: the view `workflow_engine.model_usage_by_run`. */
export interface RunUsage {
  calls: number;
  /** Calls that are running. */
  openCalls: number;
  /** Calls that were killed, or died with their worker: what they used is not all known. */
  cutOffCalls: number;
  models: string[];
  /** Whether all of them were. */
  simulated: boolean;
  inputTokens: number;
  cachedTokens: number;
  outputTokens: number;
  /** As the CLI states it: for a simulated run, what nobody pays. */
  costUsd: number;
}

/** One attempt of one call, as its row says. */
export interface CallRecord {
  step: string;
  /** Which execution of the step it was part of. */
  execution: number;
  model: string;
  outcome: 'running' | 'completed' | 'failed' | 'aborted' | 'lost';
  inputTokens: number | null;
  cachedTokens: number | null;
  outputTokens: number | null;
  costUsd: number | null;
  estimated: boolean;
  firstTokenMs: number | null;
  totalMs: number | null;
  apiStatus: number | null;
  error: string | null;
}

export async function readUsage(pool: Pool, runId: string): Promise<RunUsage> {
  const read = () =>
    pool.query<RunUsage>(
      `SELECT calls, running AS "openCalls", aborted + lost AS "cutOffCalls", models, simulated, input_tokens::float AS "inputTokens",
              cached_tokens::float AS "cachedTokens", output_tokens::float AS "outputTokens", cost_usd::float AS "costUsd"
       FROM workflow_engine.model_usage_by_run WHERE run_id = $1`,
      [runId],
    );
  // After the run has ended: what it made is not to be lost for a moment without the database.
  const { rows } = await retryTransient(read, DATABASE_PATIENCE_MS);
  return rows[0] ?? NOTHING;
}

const NOTHING: RunUsage = {
  calls: 0,
  openCalls: 0,
  cutOffCalls: 0,
  models: [],
  simulated: false,
  inputTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  costUsd: 0,
};

/** In the order in which they were begun. */
export async function readCalls(pool: Pool, runId: string): Promise<CallRecord[]> {
  const { rows } = await pool.query<CallRecord>(
    `SELECT s.step_name AS step, c.execution, c.model, coalesce(c.outcome, 'running') AS outcome,
            c.input_tokens AS "inputTokens", c.cached_tokens AS "cachedTokens", c.output_tokens AS "outputTokens",
            c.cost_usd::float AS "costUsd", c.estimated, c.first_token_ms AS "firstTokenMs", c.total_ms AS "totalMs",
            c.api_status AS "apiStatus", c.error
     FROM workflow_engine.model_calls c JOIN workflow.workflow_steps s USING (run_id, step_id)
     WHERE c.run_id = $1 ORDER BY c.started_at`,
    [runId],
  );
  return rows;
}
