import type { RunningWorld } from '../runtime/current-world.ts';
import { redriveRun } from '../runtime/redrive.ts';
import type { Answer } from './output.ts';
import { describeTaker } from './taker.ts';
import { shortName } from './timeline.ts';

/**
 * `redrive RUN_ID`: starts a run anew, and says who will drive it.
 * @throws ConfigError
 */
export async function answerRedrive(running: RunningWorld, runId: string): Promise<Answer> {
  const { workflowName, ...redrive } = await redriveRun(running, runId);
  const workflow = shortName(workflowName);
  const lines = [
    `${redrive.isNew ? 'Started' : 'Found'} ${workflow} anew: run ${redrive.runId}`,
    ...(await describeTaker(running, redrive.deploymentId)),
    `  npm run postgres-world:status -- ${redrive.runId}`,
  ];
  return { text: lines.join('\n'), document: { workflow, ...redrive } };
}
