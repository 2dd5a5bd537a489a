import { approvalCommands } from '../approval/approval.ts';
import { isSimulated } from '../model/simulated-api.ts';
import type { RunOverview } from '../postgres/run-overview.ts';
import type { WorkerEntry } from '../postgres/workers.ts';

/** Not ended, and nobody is there who could replay it. */
export function isStranded({ status, deploymentId }: RunOverview, workers: readonly WorkerEntry[]): boolean {
  const ended = status !== 'pending' && status !== 'running';
  return !ended && !workers.some(({ deployments }) => deployments.includes(deploymentId));
}

export function waitsForCode({ deploymentId }: RunOverview): string {
  return `⚠ waits for a worker with the code ${deploymentId}`;
}

export function asksForApproval({ runId }: RunOverview): string {
  return `⏸ waits for approval: ${approvalCommands(runId).yes} (or reject)`;
}

/** The command that starts a worker for runs like this one. */
export function workerCommand(deploymentId: string): string {
  return `${isSimulated(deploymentId) ? 'WORKFLOW_MODEL=simulated ' : ''}npm run example:postgres-world:worker`;
}
