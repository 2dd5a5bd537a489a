/** A worker that does what its parent tells it to, and that can be told to die. */
import { arm, countedStatements } from './statements.ts';
import { join } from 'node:path';
import { READ_PATIENCE_MS, type Command, type Commands } from './commands.ts';

process.once('disconnect', () => process.exit(1));

const WORKFLOW_FILE = join(import.meta.dirname, 'workflow.ts');

const workflows = await startWorld();
const { getRun, resumeHook, start } = await import('workflow/api');

const commands: Commands = {
  async start(token, dieBefore) {
    arm(dieBefore);
    return (await start(workflows.everythingWorkflow!, [token])).runId;
  },
  async resume(token) {
    await resumeHook(token, { answer: 'yes' });
  },
  result: (runId) => getRun(runId).returnValue,
  async read(runId, namespace) {
    const chunks: unknown[] = [];
    const reader = getRun(runId)
      .getReadable(namespace === undefined ? {} : { namespace })
      .getReader();
    const timer = setTimeout(() => void reader.cancel(), READ_PATIENCE_MS);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
    }
    clearTimeout(timer);
    return chunks;
  },
  statements: async () => countedStatements(),
};

process.on('message', ({ id, name, args }: Command) => {
  const execute = commands[name] as (...given: unknown[]) => Promise<unknown>;
  void execute(...args).then(
    (value) => process.send?.({ id, value }),
    (error: Error) => process.send?.({ id, error: error.message }),
  );
});
process.send?.({ ready: true });

/** Only one of the two is loaded. */
async function startWorld(): Promise<Record<string, { workflowId: string }>> {
  if (process.env.SWEEP_WORLD === 'stock') {
    const { startStockWorld } = await import('./stock-world.ts');
    return startStockWorld(WORKFLOW_FILE);
  }
  const { runWorld } = await import('../../world-config.ts');
  return (await runWorld({ model: 'simulated', workflowFiles: [WORKFLOW_FILE] })).workflows;
}
