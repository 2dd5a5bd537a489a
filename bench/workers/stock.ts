/** A worker of `@workflow/world-postgres` as it comes. It has no processes that start runs only: each takes work. */
import { startStockWorld } from '../../tests/sweep/stock-world.ts';
import currentWorld from '../../src/runtime/current-world.ts';
import { workflowFiles } from '../workflows/files.ts';
import { serve, startAll } from './serve.ts';

const workflows = await startStockWorld(workflowFiles[0]!);
const { start } = await import('workflow/api');

serve(
  {
    start: (workflow: string, args: unknown[], count: number) =>
      startAll(count, async () => (await start(workflows[workflow]!, args)).runId),
  },
  async () => currentWorld().close?.(),
);
