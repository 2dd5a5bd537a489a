/** What a step costs that is one statement: a small row, committed. One connection. */
import { Client } from 'pg';
import { noteStep } from './counters.ts';
import { serve } from './serve.ts';

const client = new Client({ connectionString: process.env.WORKFLOW_POSTGRES_URL });
await client.connect();
let last = 0;

async function step(runId: string, n: number): Promise<void> {
  await client.query({
    name: 'step',
    text: 'INSERT INTO steps (run_id, step_id, result) VALUES ($1, $2, $3)',
    values: [runId, n, '{"n":1}'],
  });
  noteStep(`${runId}:${n}`);
}

async function run(steps: number): Promise<string> {
  const id = `run_${(last += 1)}`;
  for (let n = 0; n < steps; n += 1) await step(id, n);
  return id;
}

serve(
  {
    async start(workflow: string, args: [number?], count: number) {
      const steps = workflow === 'fanOutWorkflow' ? 4 : args[0]!;
      const ids: string[] = [];
      for (let n = 0; n < count; n += 1) ids.push(await run(steps));
      return ids;
    },
  },
  () => client.end(),
);
