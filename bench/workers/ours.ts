/** A worker of this project, or with BENCH_ROLE=starter a process that starts runs only. */
import { runWorld, stopWorld } from '../../world-config.ts';
import { workflowFiles } from '../workflows/files.ts';
import { serve, startAll } from './serve.ts';

const { workflows } = await runWorld({
  model: 'simulated',
  worker: process.env.BENCH_ROLE !== 'starter',
  workflowFiles,
});
const { start } = await import('workflow/api');

serve(
  {
    start: (workflow: string, args: unknown[], count: number) =>
      startAll(count, async () => (await start(workflows[workflow]!, args)).runId),
  },
  stopWorld,
);
