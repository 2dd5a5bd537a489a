/** A worker of this project, or with BENCH_ROLE=starter a process that starts and reads runs only. */
import { readText } from '../../src/streams/read-text.ts';
import { runWorld, stopWorld } from '../../world-config.ts';
import { workflowFile } from '../workflows/files.ts';
import { measureDelays } from './delays.ts';
import { serve, startAll } from './serve.ts';

const { workflows, world } = await runWorld({
  model: 'simulated',
  worker: process.env.BENCH_ROLE !== 'starter',
  workflowFiles: [workflowFile],
});
const { start } = await import('workflow/api');

serve(
  {
    start: (workflow: string, args: unknown[], count: number) =>
      startAll(count, async () => (await start(workflows[workflow]!, args)).runId),
    read: (runId: string) => measureDelays(readText(world, runId)),
  },
  stopWorld,
);
