import { onTestFinished } from 'vitest';
import { runInScope, type StepScope } from '../../src/runtime/scope.ts';
import { openRunStream, type RunStream } from '../../src/streams/run-stream.ts';
import { getWorld, runWorld, stopWorld } from '../../world-config.ts';
import type { World } from '@workflow/world';

/** The World, in the process of the tests, which executes nothing. */
export async function openWorld(connectionString: string): Promise<World> {
  await runWorld({ connectionString, worker: false, workflowFiles: [], log: () => undefined });
  onTestFinished(stopWorld);
  return getWorld();
}

/** What an execution of a step does with the stream of its run, in this process. */
export async function inStep<T>(runId: string, execution: number, work: (stream: RunStream) => Promise<T>): Promise<T> {
  const scope: Partial<StepScope> = {
    kind: 'step',
    runId,
    execution,
    endingStreams: new Set(),
    over: new AbortController().signal,
  };
  return runInScope(scope as StepScope, () => work(openRunStream()));
}
