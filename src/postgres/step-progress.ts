import type { EventResult } from '@workflow/world';
import { RunExpiredError } from '@workflow/errors';
import type { ClientBase } from 'pg';
import { MustRunAloneError, type StepScope } from '../runtime/scope.ts';
import { ALONE_AFTER_DEATHS } from './deaths.ts';

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
 * @param start writes the event, in the open transaction
 */
export async function chargeAttempt(
  client: ClientBase,
  { runId, stepId, jobPrefix }: StepStart,
  start: () => Promise<EventResult>,
  scope: StepScope | undefined,
): Promise<EventResult> {
  const { rows } = await client.query<{ interruptions: number; running: boolean; deaths: number; run_status: string }>(
    `SELECT s.status = 'running' AS running, coalesce(p.interruptions, 0) AS interruptions,
            coalesce(run.deaths, 0) AS deaths, r.status AS run_status
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
  if (rows[0]!.deaths >= ALONE_AFTER_DEATHS && !scope?.alone) throw new MustRunAloneError(runId);
  let interruptions = rows[0]?.interruptions ?? 0;
  const result = await start();
  if (rows[0]?.running) {
    interruptions += 1;
    await client.query(
      `INSERT INTO workflow_engine.step_progress (step_id, run_id, job_prefix, interruptions) VALUES ($1, $2, $3, 1)
       ON CONFLICT (step_id) DO UPDATE SET interruptions = step_progress.interruptions + 1`,
      [stepId, runId, jobPrefix],
    );
  }
  if (result.step) {
    if (scope) scope.execution = result.step.attempt;
    result.step.attempt -= interruptions;
  }
  return result;
}
