import type { EventResult } from '@workflow/world';
import { RunExpiredError, TooEarlyError } from '@workflow/errors';
import type { ClientBase } from 'pg';
import { MustRunAloneError, type StepScope } from '../runtime/scope.ts';
import { mustBeAlone } from './deaths.ts';
import { closeLostCalls } from './model-calls.ts';

interface StepState {
  run_status: string;
  running: boolean;
  interruptions: number;
  /** Of workers that had a job of the run. */
  deaths: number;
  /** Until it may be tried again; null for a step that does not wait for that. */
  retry_seconds: number | null;
}

export interface StepStart {
  runId: string;
  stepId: string;
  jobPrefix: string;
}

/**
 * Starts a step without charging it for executions that were cut off. The runtime takes every
 * `step_started` for an attempt (vercel/workflow #3992); a start that finds the step still `running`
 * proves that the one before it never ended.
 * @throws RunExpiredError when the run has ended, or was removed
 * @throws MustRunAloneError when workers died of the run, and this process has other work
 * @throws TooEarlyError when the step failed and is not to be tried again yet
 * @param start writes the event, in the open transaction
 */
export async function chargeAttempt(
  client: ClientBase,
  { runId, stepId, jobPrefix }: StepStart,
  start: () => Promise<EventResult>,
  scope: StepScope | undefined,
): Promise<EventResult> {
  const { rows } = await client.query<StepState>(
    `SELECT s.status = 'running' AS running, coalesce(p.interruptions, 0) AS interruptions,
            coalesce(run.deaths, 0) AS deaths, r.status AS run_status,
            ceil(extract(epoch FROM s.retry_after - now()::timestamp))::integer AS retry_seconds
     FROM workflow.workflow_runs r
     LEFT JOIN workflow_engine.run_progress run ON run.run_id = r.id
     LEFT JOIN workflow.workflow_steps s ON s.run_id = r.id AND s.step_id = $2
     LEFT JOIN workflow_engine.step_progress p ON p.step_id = s.step_id
     WHERE r.id = $1`,
    [runId, stepId],
  );
  // world-postgres lets a step that is marked as running start again, even if its run was cancelled.
  const runStatus = rows[0]?.run_status ?? 'gone';
  if (runStatus !== 'running') throw new RunExpiredError(`Cannot start ${stepId}: its run is ${runStatus}`);
  if (mustBeAlone(rows[0]!.deaths) && !scope?.alone) throw new MustRunAloneError(runId);
  await awaitRetry(client, stepId, rows[0]?.retry_seconds ?? null);
  let interruptions = rows[0]?.interruptions ?? 0;
  const result = await start();
  if (rows[0]?.running) {
    interruptions += 1;
    await client.query(
      `INSERT INTO workflow_engine.step_progress (step_id, run_id, job_prefix, interruptions) VALUES ($1, $2, $3, 1)
       ON CONFLICT (step_id) DO UPDATE SET interruptions = step_progress.interruptions + 1`,
      [stepId, runId, jobPrefix],
    );
    await closeLostCalls(client, runId, stepId);
  }
  if (result.step) {
    const execution = result.step.attempt;
    result.step.attempt -= interruptions;
    const beganAt = result.step.startedAt?.getTime() ?? 0;
    if (scope) Object.assign(scope, { execution, attempt: result.step.attempt, beganAt });
  }
  return result;
}

/** In the place of world-postgres, which compares with the clock of its process. */
async function awaitRetry(client: ClientBase, stepId: string, seconds: number | null): Promise<void> {
  if (seconds === null) return;
  if (seconds > 0) throw new TooEarlyError(`Cannot start ${stepId} yet`, { retryAfter: seconds });
  await client.query('UPDATE workflow.workflow_steps SET retry_after = NULL WHERE step_id = $1', [stepId]);
}
