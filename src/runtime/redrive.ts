import { ConfigError } from '../config/config.ts';
import { isSimulated, simulatedDeployment } from '../model/simulated-api.ts';
import { linkRedrive } from '../postgres/redrives.ts';
import { StartKeyTakenError } from '../postgres/start-keys.ts';
import type { RunningWorld } from './current-world.ts';
import { readOwnRun } from './own-run.ts';
import { createKeyedWorld } from './start-once.ts';

export interface Redrive {
  runId: string;
  /** The run that it repeats. */
  redriveOf: string;
  workflowName: string;
  deploymentId: string;
  /** Whether this call began it; false: an earlier one did. */
  isNew: boolean;
}

/**
 * Starts a run that has failed, or was cancelled, anew from its input, with the code of today. The old
 * one stays as it is: the log of a run that has ended is never edited. Once for each run, by a start
 * key: who calls again, or at the same moment, gets the same new run.
 * @throws ConfigError for a run that is not there, not ended, or of a workflow that is not there any more
 */
export async function redriveRun(running: RunningWorld, redriveOf: string): Promise<Redrive> {
  const { world, pool, config, workflows, codeVersion } = running;
  const seed = await readOwnRun(running, redriveOf);
  const { status, workflowName } = await world.runs.get(redriveOf, { resolveData: 'none' });
  if (status !== 'failed' && status !== 'cancelled') {
    throw new ConfigError(`${redriveOf} is ${status}: only a run that has failed or was cancelled is started anew.`);
  }
  if (!Object.values(workflows).some(({ workflowId }) => workflowId === workflowName)) {
    throw new ConfigError(`${redriveOf} ran ${workflowName}, which the code has no more.`);
  }
  // A run that was answered by a simulation stays simulated.
  const deploymentId = isSimulated(seed.deploymentId) ? simulatedDeployment(codeVersion) : codeVersion;
  const keyed = createKeyedWorld(world, `redrive:${redriveOf}`);
  const { recreateRunFromExisting } = await import('@workflow/core/runtime');
  const begun = await recreateRunFromExisting(keyed, redriveOf, { deploymentId }).then(
    (runId) => ({ runId, isNew: true }),
    (error: Error) => {
      if (error.cause instanceof StartKeyTakenError) return { runId: error.cause.runId, isNew: false };
      throw error;
    },
  );
  // Again, should the one that began it have died before this.
  await linkRedrive(pool, { ...begun, redriveOf, jobPrefix: config.jobPrefix, queueSchema: config.queueSchema });
  return { ...begun, redriveOf, workflowName, deploymentId };
}
