import { getRun } from 'workflow/api';
import type { WorkflowRun } from '@workflow/world';
import { isSimulated } from '../model/simulated-api.ts';
import { readUsage, type RunUsage } from '../postgres/model-usage.ts';
import { getCurrent } from '../runtime/current-world.ts';
import { followEvents } from './run-events.ts';
import { followText } from './follow-text.ts';
import { createProgress } from './progress.ts';
import type { Output } from './output.ts';

export interface FinishedRun {
  runId: string;
  workflow: string;
  status: WorkflowRun['status'];
  durationMs: number;
  model: 'claude' | 'simulated';
  usage: RunUsage;
  /** What the workflow returned, if it completed. */
  result?: unknown;
  /** Why it did not. */
  error?: string;
}

/** Shows a run as it goes on, and its stream if `streams`, until it has ended, on whichever worker. */
export async function followRun(
  { runId, workflow, streams }: { runId: string; workflow: string; streams: boolean },
  output: Output,
): Promise<FinishedRun> {
  const { world, pool, now } = getCurrent()!;
  using progress = createProgress(output, now);
  const [run] = await Promise.all([
    followEvents(world, runId, progress.show),
    streams ? followText(world, runId, output) : undefined,
  ]);
  const finished: FinishedRun = {
    runId,
    workflow,
    status: run.status,
    durationMs: (run.completedAt?.getTime() ?? now()) - run.createdAt.getTime(),
    model: isSimulated(run.deploymentId) ? 'simulated' : 'claude',
    usage: await readUsage(pool, runId),
  };
  if (run.status === 'completed') return { ...finished, result: await getRun(runId).returnValue };
  return { ...finished, error: run.error?.message ?? `The run was ${run.status}.` };
}
