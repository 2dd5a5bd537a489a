/** A worker of `@workflow/world-postgres` as it comes. It has no processes that start runs only: each takes work. */
import { startStockWorld } from '../../tests/sweep/stock-world.ts';
import currentWorld from '../../src/runtime/current-world.ts';
import { workflowFile } from '../workflows/files.ts';
import { measureDelays } from './delays.ts';
import { serve, startAll } from './serve.ts';

const workflows = await startStockWorld(workflowFile);
const { getRun, start } = await import('workflow/api');

serve(
  {
    start: (workflow: string, args: unknown[], count: number) =>
      startAll(count, async () => (await start(workflows[workflow]!, args)).runId),
    read: (runId: string) => measureDelays(getRun(runId).getReadable<{ text: string }>()),
  },
  async () => currentWorld().close?.(),
);
