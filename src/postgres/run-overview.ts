import type { Pool } from 'pg';
import { waitsForApproval } from './approvals.ts';

export interface RunOverview {
  runId: string;
  workflowName: string;
  status: 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';
  deploymentId: string;
  /** The run that it repeats from its input; null: none. */
  redriveOf: string | null;
  /** The run that repeats it. */
  redrivenAs: string | null;
  createdAt: Date;
  completedAt: Date | null;
  /** Since it was started, by the clock of the database; for an ended run, how long it took. */
  ageMs: number;
  /** Names of the steps that are being executed, and of those that are to be. */
  runningSteps: string[];
  queuedSteps: string[];
  /** Tokens of the hooks that it waits for. */
  hooks: string[];
  /** For one that nobody has given yet; its hook is among them. */
  waitsForApproval: boolean;
  /** Until its next timer, negative when that is overdue; null without one. */
  timerMs: number | null;
}

/** The job prefix's runs that have not ended, newest first, then those that have, up to `limit` in all. */
export async function listRuns(
  pool: Pool,
  { jobPrefix, limit, runId }: { jobPrefix: string; limit: number; runId?: string },
): Promise<{ runs: RunOverview[]; total: number }> {
  const { rows } = await pool.query<RunOverview & { total: number }>(
    `WITH known AS (
       SELECT r.*, p.workflow_name, p.redrive_of, r.status NOT IN ('pending', 'running') AS ended, count(*) OVER ()::int AS total
       FROM workflow_engine.run_progress p JOIN workflow.workflow_runs r ON r.id = p.run_id
       WHERE p.job_prefix = $1 AND ($3::text IS NULL OR r.id = $3)
       ORDER BY ended, r.created_at DESC LIMIT $2
     )
     SELECT k.id AS "runId", k.workflow_name AS "workflowName", k.status::text, k.deployment_id AS "deploymentId",
            k.redrive_of AS "redriveOf", a.run_id AS "redrivenAs",
            k.created_at AT TIME ZONE 'UTC' AS "createdAt", k.completed_at AT TIME ZONE 'UTC' AS "completedAt", total,
            round(extract(epoch FROM coalesce(k.completed_at, now()::timestamp) - k.created_at) * 1000)::float AS "ageMs",
            coalesce(s.running, '{}') AS "runningSteps", coalesce(s.queued, '{}') AS "queuedSteps",
            coalesce(h.tokens, '{}') AS hooks, ${waitsForApproval('k.id')} AS "waitsForApproval",
            round(extract(epoch FROM w.resume_at - now()::timestamp) * 1000)::float AS "timerMs"
     FROM known k
     LEFT JOIN workflow_engine.run_progress a ON a.redrive_of = k.id
     LEFT JOIN LATERAL (
       SELECT array_agg(step_name ORDER BY created_at) FILTER (WHERE status = 'running') AS running,
              array_agg(step_name ORDER BY created_at) FILTER (WHERE status = 'pending') AS queued
       FROM workflow.workflow_steps WHERE run_id = k.id AND NOT ended) s ON true
     LEFT JOIN LATERAL (
       SELECT array_agg(token ORDER BY created_at) AS tokens
       FROM workflow.workflow_hooks WHERE run_id = k.id AND NOT ended) h ON true
     LEFT JOIN LATERAL (
       SELECT min(resume_at) AS resume_at
       FROM workflow.workflow_waits WHERE run_id = k.id AND status = 'waiting' AND NOT ended) w ON true
     ORDER BY ended, k.created_at DESC`,
    [jobPrefix, limit, runId ?? null],
  );
  return { runs: rows.map(({ total: _total, ...run }) => run), total: rows[0]?.total ?? 0 };
}
