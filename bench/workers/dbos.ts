/** A worker of DBOS: direct, or through the queue BENCH_QUEUE; with BENCH_ROLE=starter it takes nothing from it. */
import { noteBody, noteStep } from './counters.ts';
import { DBOS } from './dbos-sdk.ts';
import { serve, startAll } from './serve.ts';

const queueName = process.env.BENCH_QUEUE;

/** What an idle worker's look costs is small, and a second, its default, would be all that is measured. */
const POLLING_INTERVAL_MS = 10;

function noOp(n: number): Promise<number> {
  const run = async () => {
    noteStep(`${DBOS.workflowID}:${DBOS.stepID}`);
    return n;
  };
  return DBOS.runStep(run, { name: 'noOp' });
}

const workflows: Record<string, (count?: number) => Promise<void>> = {
  async sequentialWorkflow(count = 0) {
    noteBody();
    for (let n = 0; n < count; n += 1) await noOp(n);
  },
  async parallelWorkflow(count = 0) {
    noteBody();
    await Promise.all(Array.from({ length: count }, (_, n) => noOp(n)));
  },
  async fanOutWorkflow() {
    noteBody();
    await Promise.all([noOp(1), noOp(2), noOp(3)]);
    await noOp(4);
  },
};

DBOS.setConfig({
  name: 'bench',
  systemDatabaseUrl: process.env.WORKFLOW_POSTGRES_URL!,
  logLevel: 'error',
  // Workflows of an executor that is gone would wait for one of its name.
  executorID: String(process.pid),
  ...(process.env.BENCH_ROLE === 'starter' && { listenQueues: ['none'] }),
});
const registered = Object.fromEntries(
  Object.entries(workflows).map(([name, workflow]) => [name, DBOS.registerWorkflow(workflow, { name })]),
);
await DBOS.launch();
if (queueName !== undefined) await DBOS.registerQueue(queueName, { minPollingIntervalMs: POLLING_INTERVAL_MS });

serve(
  {
    start: (workflow: string, args: [number?], count: number) =>
      startAll(count, async () => (await DBOS.startWorkflow(registered[workflow]!, { queueName })(...args)).workflowID),
  },
  () => DBOS.shutdown(),
);
