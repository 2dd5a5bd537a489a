import { ConfigError } from '../config/config.ts';
import { readDeployment, type RunSeed } from '../postgres/run-progress.ts';
import type { RunningWorld } from './current-world.ts';

/**
 * What a run belongs to, if that is this application: others may share the database.
 * @throws ConfigError
 */
export async function readOwnRun({ pool, config }: RunningWorld, runId: string): Promise<RunSeed> {
  const run = await readDeployment(pool, runId);
  if (run?.jobPrefix === config.jobPrefix) return run;
  throw new ConfigError(`There is no run ${runId} with the job prefix "${config.jobPrefix}".`);
}
