import { HookNotFoundError } from '@workflow/errors';
import { approvalToken, type Approval } from '../approval/approval.ts';
import { ConfigError } from '../config/config.ts';
import { answerHookOnce, HookAnsweredError, readHookAnswer, type HookAnswer } from '../runtime/answer-hook-once.ts';
import type { RunningWorld } from '../runtime/current-world.ts';
import { readOwnRun } from '../runtime/own-run.ts';
import type { Answer } from './output.ts';
import { readActivities } from './run-events.ts';
import { describeTaker } from './taker.ts';
import { shortName } from './timeline.ts';

/**
 * `approve RUN_ID` and `reject RUN_ID --reason TEXT`: answers a run that waits for approval, and says
 * who goes on with it.
 * @throws ConfigError when it was answered before, or does not wait for approval
 */
export async function answerApproval(running: RunningWorld, runId: string, approval: Approval): Promise<Answer> {
  const { deploymentId, workflowName } = await readOwnRun(running, runId);
  try {
    await answerHookOnce(approvalToken(runId), approval);
  } catch (error) {
    throw await explainRefusal(running, runId, error);
  }
  const workflow = shortName(workflowName);
  const lines = [
    `${approval.approved ? 'Approved' : 'Rejected'} ${workflow}: run ${runId}`,
    ...(await describeTaker(running, deploymentId)),
    `  npm run postgres-world:status -- ${runId}`,
  ];
  return { text: lines.join('\n'), document: { runId, workflow, approval } };
}

async function explainRefusal({ world }: RunningWorld, runId: string, error: unknown): Promise<unknown> {
  if (error instanceof HookAnsweredError) return answeredBefore(runId, error.answer);
  if (!(error instanceof ConfigError && HookNotFoundError.is(error.cause))) return error;
  // The hook is gone when the run has gone on; its log has everything.
  const asked = (await readActivities(world, runId)).find(({ kind }) => kind === 'approval');
  const answer = asked && (await readHookAnswer(world, runId, asked.id));
  if (answer) return answeredBefore(runId, answer);
  const { status } = await world.runs.get(runId, { resolveData: 'none' });
  const state =
    status === 'pending' || status === 'running' ? `${status}, and does not (yet)` : `${status}, and does not`;
  return new ConfigError(
    `${runId} is ${state} wait for approval.\n  What it does: npm run postgres-world:status -- ${runId}`,
  );
}

function answeredBefore(runId: string, { payload, answeredAt }: HookAnswer): ConfigError {
  const { approved, reason } = payload as { approved?: boolean; reason?: string };
  const how = approved ? 'approved' : `rejected (${reason})`;
  return new ConfigError(`${runId} was answered before: ${how} at ${answeredAt.toISOString()}.`);
}
