import { setTimeout as delay } from 'node:timers/promises';
import { getRun } from 'workflow/api';
import type { WorkflowRun } from '@workflow/world';
import { isSimulated } from '../model/simulated-api.ts';
import { isTransient } from '../postgres/transient.ts';
import currentWorld from '../runtime/current-world.ts';
import type { TextChunk } from '../streams/run-stream.ts';

const STATUS_INTERVAL_MS = 200;

export interface FinishedRun {
  runId: string;
  workflow: string;
  status: WorkflowRun['status'];
  durationMs: number;
  model: 'claude' | 'simulated';
  /** What the workflow returned, if it completed. */
  result?: unknown;
  /** Why it did not. */
  error?: string;
}

/** Waits until the run has ended, on whichever worker. */
export async function waitForRun(runId: string, workflow: string): Promise<FinishedRun> {
  const run = await pollUntilEnded(runId);
  const finished: FinishedRun = {
    runId,
    workflow,
    status: run.status,
    durationMs: (run.completedAt ?? new Date()).getTime() - run.createdAt.getTime(),
    model: isSimulated(run.deploymentId) ? 'simulated' : 'claude',
  };
  if (run.status === 'completed') return { ...finished, result: await getRun(runId).returnValue };
  return { ...finished, error: run.error?.message ?? `The run was ${run.status}.` };
}

/** Shows the run's stream as it is written. Where a step was repeated, what it wrote before does not count. */
export async function followStream(runId: string, show: (text: string) => void): Promise<void> {
  let last = { attempt: 0, index: -1 };
  for await (const { attempt, index, text } of getRun(runId).getReadable<TextChunk>()) {
    if (attempt < last.attempt || (attempt === last.attempt && index <= last.index)) continue;
    if (last.attempt > 0 && attempt > last.attempt) show('\n\n↻ The step was interrupted; from its beginning:\n\n');
    show(text);
    last = { attempt, index };
  }
}

async function pollUntilEnded(runId: string): Promise<WorkflowRun> {
  for (;;) {
    const run = await currentWorld()
      .runs.get(runId)
      .catch((error: unknown) => {
        if (!isTransient(error)) throw error;
      });
    if (run && run.status !== 'pending' && run.status !== 'running') return run;
    await delay(STATUS_INTERVAL_MS);
  }
}
