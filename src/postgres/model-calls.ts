import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
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

/** What a call used; undefined where the provider did not say. */
export interface CallEnd {
  outcome: 'completed' | 'failed';
  inputTokens?: number | undefined;
  /** The part of them that came from the provider's cache. */
  cachedTokens?: number | undefined;
  outputTokens?: number | undefined;
  costUsd?: number | undefined;
  firstTokenMs?: number | undefined;
}

/** What the model calls of a run used, retries included. */
export interface RunUsage {
  calls: number;
  /** Calls whose end is not known: running, or cut off by the death of their process. */
  openCalls: number;
  models: string[];
  inputTokens: number;
  cachedTokens: number;
  outputTokens: number;
  /** As the CLI states it: for a simulated run, what nobody pays. */
  costUsd: number;
}

/** Writes down that a call begins, unless `signal` fires. Returns its id. */
export async function openModelCall(pool: Pool, call: ModelCall, signal: AbortSignal): Promise<string> {
  const id = randomUUID();
  await retryTransient(
    () =>
      pool.query(
        `INSERT INTO workflow_engine.model_calls (id, job_prefix, run_id, step_id, execution, model, simulated)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
        [id, call.jobPrefix, call.runId, call.stepId, call.execution, call.model, call.simulated],
      ),
    DATABASE_PATIENCE_MS,
    signal,
  );
  return id;
}

export async function closeModelCall(pool: Pool, id: string, end: CallEnd): Promise<void> {
  const { outcome, inputTokens, cachedTokens, outputTokens, costUsd, firstTokenMs } = end;
  await retryTransient(
    () =>
      pool.query(
        `UPDATE workflow_engine.model_calls
         SET outcome = $2, ended_at = now(), input_tokens = $3, cached_tokens = $4, output_tokens = $5,
             cost_usd = $6, first_token_ms = $7
         WHERE id = $1`,
        [id, outcome, inputTokens, cachedTokens, outputTokens, costUsd, firstTokenMs],
      ),
    DATABASE_PATIENCE_MS,
  );
}

export async function readUsage(pool: Pool, runId: string): Promise<RunUsage> {
  const read = () =>
    pool.query<RunUsage>(
      `SELECT count(*)::int AS calls, count(*) FILTER (WHERE outcome IS NULL)::int AS "openCalls",
            coalesce(array_agg(DISTINCT model), '{}') AS models,
            coalesce(sum(input_tokens), 0)::float AS "inputTokens",
            coalesce(sum(cached_tokens), 0)::float AS "cachedTokens",
            coalesce(sum(output_tokens), 0)::float AS "outputTokens",
            coalesce(sum(cost_usd), 0)::float AS "costUsd"
     FROM workflow_engine.model_calls WHERE run_id = $1`,
      [runId],
    );
  // After the run has ended: what it made is not to be lost for a moment without the database.
  const { rows } = await retryTransient(read, DATABASE_PATIENCE_MS);
  return rows[0]!;
}
