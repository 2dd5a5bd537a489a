import { findWorkers } from '../postgres/workers.ts';
import type { RunningWorld } from '../runtime/current-world.ts';
import { workerCommand } from './waiting.ts';

/** Who goes on with a run of that deployment: a worker that is there, or the command that starts one. */
export async function describeTaker({ pool, config }: RunningWorld, deploymentId: string): Promise<string[]> {
  const workers = await findWorkers(pool, config.jobPrefix);
  if (workers.some(({ deployments }) => deployments.includes(deploymentId))) return ['  A worker takes it.'];
  return [`  No worker takes it yet. One with the code ${deploymentId} does:`, `    ${workerCommand(deploymentId)}`];
}
