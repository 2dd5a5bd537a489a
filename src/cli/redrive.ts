import { isSimulated } from '../model/simulated-api.ts';
import { findWorkers } from '../postgres/workers.ts';
import type { RunningWorld } from '../runtime/current-world.ts';
import { redriveRun } from '../runtime/redrive.ts';
import type { Answer } from './output.ts';
import { shortName } from './timeline.ts';

/**
 * `redrive RUN_ID`: starts a run anew, and says who will drive it.
 * @throws ConfigError
 */
export async function answerRedrive(running: RunningWorld, runId: string): Promise<Answer> {
  const { workflowName, ...redrive } = await redriveRun(running, runId);
  const workers = await findWorkers(running.pool, running.config.jobPrefix);
  const isTaken = workers.some(({ deployments }) => deployments.includes(redrive.deploymentId));
  const workflow = shortName(workflowName);
  const variables = isSimulated(redrive.deploymentId) ? 'WORKFLOW_MODEL=simulated ' : '';
  const lines = [
    `${redrive.isNew ? 'Started' : 'Found'} ${workflow} anew: run ${redrive.runId}`,
    isTaken ? '  A worker takes it.' : `  No worker takes it yet: ${variables}npm run example:postgres-world:worker`,
    `  npm run postgres-world:status -- ${redrive.runId}`,
  ];
  return { text: lines.join('\n'), document: { workflow, ...redrive } };
}
