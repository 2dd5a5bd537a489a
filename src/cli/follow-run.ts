import { getRun } from 'workflow/api';
import type { WorkflowRun } from '@workflow/world';
import { isSimulated } from '../model/simulated-api.ts';
import { isParkedForApproval } from '../postgres/approvals.ts';
import { readUsage, type RunUsage } from '../postgres/model-usage.ts';
import { getCurrent } from '../runtime/current-world.ts';
import { followEvents } from './run-events.ts';
import { followText } from './follow-text.ts';
import { createProgress } from './progress.ts';
import type { Output } from './output.ts';

export interface FollowedRun {
  runId: string;
  workflow: string;
  status: WorkflowRun['status'];
  durationMs: number;
  model: 'claude' | 'simulated';
  usage: RunUsage;
  /** What it waits for, if it has not ended. */
  waitsFor?: 'approval';
  /** What the workflow returned, if it completed. */
  result?: unknown;
  /** Why it did not complete. */
  error?: string;
}

/** Shows a run as it goes on, and its stream if `streams`, on whichever worker, until it has ended or waits for approval. */
export async function followRun(
  { runId, workflow, streams }: { runId: string; workflow: string; streams: boolean },
  output: Output,
): Promise<FollowedRun> {
  const { world, pool, now } = getCurrent()!;
  using progress = createProgress(output, now);
  const [run] = await Promise.all([
    followEvents(world, runId, progress.show, () => isParkedForApproval(pool, runId)),
    streams ? followText(world, runId, output) : undefined,
  ]);
  const followed: FollowedRun = {
    runId,
    workflow,
    status: run.status,
    durationMs: (run.completedAt?.getTime() ?? now()) - run.createdAt.getTime(),
    model: isSimulated(run.deploymentId) ? 'simulated' : 'claude',
    usage: await readUsage(pool, runId),
  };
  if (run.status === 'completed') return { ...followed, result: await getRun(runId).returnValue };
  if (run.status === 'running') return { ...followed, waitsFor: 'approval' };
  return { ...followed, error: run.error?.message ?? `The run was ${run.status}.` };
}
