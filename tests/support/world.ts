import { join } from 'node:path';
import { expect } from 'vitest';
import type { WorldConfig } from '../../src/config/config.ts';
import { runWorld, stopWorld, type RunningWorld } from '../../world-config.ts';
import { PROJECT } from './program.ts';
import { until } from './until.ts';

/** Has a worker in this process, with the workflows of plain-workflows.ts, for as long as `work` takes. */
export async function withWorker<T>(
  config: Partial<WorldConfig> & { connectionString: string },
  work: (world: RunningWorld) => Promise<T>,
): Promise<T> {
  const world = await runWorld({
    model: 'simulated',
    workflowFiles: [join(PROJECT, 'tests/fixtures/plain-workflows.ts')],
    log: () => undefined,
    ...config,
  });
  try {
    return await work(world);
  } finally {
    await stopWorld();
    // The runtime has one for ever, unless it is told.
    (await import('@workflow/core/runtime')).setWorld(undefined);
  }
}

/** Begins a run that uses everything, answers its hook, and expects what it returns. */
export async function runEverything({ workflows }: RunningWorld, token = 'everything'): Promise<string> {
  const { getRun, resumeHook, start } = await import('workflow/api');
  const { runId } = await start(workflows.everythingWorkflow!, [token]);
  const words: string[] = [];
  for await (const chunk of getRun(runId).getReadable<{ text: string }>()) words.push(chunk.text);
  await until('its hook takes an answer', () =>
    resumeHook(token, 'yes').then(
      () => true,
      () => false,
    ),
  );
  expect(await getRun(runId).returnValue).toEqual({
    first: 2,
    second: 4,
    third: 'attempt 2',
    caught: expect.stringContaining('never again') as string,
    answer: 'yes',
  });
  expect(words.join('')).toBe('one two three ');
  return runId;
}
