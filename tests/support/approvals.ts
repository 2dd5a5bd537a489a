import { join } from 'node:path';
import { approvalToken, type Approval } from '../../src/approval/approval.ts';
import type { Application } from './application.ts';
import { PROJECT, run, startProgram } from './program.ts';
import { until } from './until.ts';

export const INDEX = join(PROJECT, 'index.ts');

/** A run that is to wait for approval, begun by a process that does not work on it. */
export async function startAsking(app: Application, content = 'It is good.'): Promise<string> {
  const [runId = ''] = await app.start('contentAnalysisWorkflow', [content, { approve: true }]);
  return runId;
}

/** Until it waits, and nobody drives it. */
export async function untilParked(app: Application, runId: string): Promise<void> {
  await until('the run is parked for approval', async () => {
    const parked = await app.query(
      `SELECT FROM workflow_engine.run_progress p JOIN workflow.workflow_hooks h USING (run_id)
       WHERE run_id = $1 AND token = $2 AND wake_seq = seen_seq AND NOT EXISTS (
         SELECT FROM workflow_queue.job WHERE state <= 'active' AND singleton_key = p.run_id)`,
      [runId, approvalToken(runId)],
    );
    return parked.length === 1;
  });
}

/** `index.ts approve RUN_ID`, or `reject`. */
export function answer(app: Application, ...args: string[]) {
  return run(startProgram(INDEX, args, { env: app.env }));
}

/** What the workflow got, once it has ended. */
export async function approvalOf(app: Application, runId: string): Promise<Approval | undefined> {
  await app.ended(runId);
  const [result] = await app.ask<{ approval?: Approval }>('result', runId);
  return result?.approval;
}

/** The answers in its log. */
export function answersOf({ query }: Pick<Application, 'query'>, runId: string): Promise<object[]> {
  return query(`SELECT FROM workflow.workflow_events WHERE run_id = $1 AND type = 'hook_received'`, [runId]);
}
