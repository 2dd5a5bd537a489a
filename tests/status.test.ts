import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createApplication, type Application } from './support/application.ts';
import { PROJECT, run, startCommand, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

const INDEX = join(PROJECT, 'index.ts');

interface StatusDocument {
  workers: { pid: number; deployments: string[] }[];
  total: number;
  runs: {
    runId: string;
    workflow: string;
    status: string;
    ageMs: number;
    runningSteps: string[];
    hooks: string[];
    timerMs: number | null;
    waitsForWorker: boolean;
  }[];
}

const status = (app: Application, ...args: string[]) => run(startProgram(INDEX, ['status', ...args], { env: app.env }));

async function statusDocument(app: Application): Promise<StatusDocument> {
  return JSON.parse((await status(app, '--json')).stdout) as StatusDocument;
}

test('status shows the workers, and what each run is doing', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const [done = ''] = await app.start('sequenceWorkflow', [1]);
  const [busy = ''] = await app.start('waitingWorkflow', [60_000]);
  const [parked = ''] = await app.start('parkedWorkflow', ['status-token']);
  const [asleep = ''] = await app.start('sleepingWorkflow', []);
  await app.ended(done);
  await until('the others have got to where they wait', async () => {
    const [there] = await app.query<{ all: boolean }>(`SELECT
      EXISTS (SELECT FROM workflow.workflow_hooks) AND EXISTS (SELECT FROM workflow.workflow_waits)
      AND EXISTS (SELECT FROM workflow.workflow_steps WHERE status = 'running' AND run_id = '${busy}') AS all`);
    return there?.all;
  });

  const document = await statusDocument(app);
  expect(document.workers).toEqual([expect.objectContaining({ pid: worker.pid, deployments: [expect.any(String)] })]);
  expect(document.total).toBe(4);
  expect(document.runs.find(({ runId }) => runId === asleep)).toMatchObject({
    workflow: 'sleepingWorkflow',
    status: 'running',
    waitsForWorker: false,
  });
  const { stdout, exitCode } = await status(app);
  expect(exitCode).toBe(0);
  const lines = stdout.split('\n');
  const after = (runId: string) => lines[lines.findIndex((line) => line.startsWith(runId)) + 1];
  expect(stdout).toContain(`:${worker.pid}`);
  expect(after(busy)).toContain('→ waitAndSee');
  expect(after(parked)).toContain('⏸ waiting for hook status-token');
  expect(after(asleep)).toMatch(/⏸ waiting: 59 min( \d+ s)? left/);
  expect(stdout).toMatch(new RegExp(`^${done}  sequenceWorkflow +completed`, 'm'));
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);

  const limited = await status(app, '--limit', '1');
  expect(limited.stdout).toContain('… and 3 more: --limit 4');
});

async function hasHook(app: Application): Promise<boolean> {
  return (await app.query('SELECT FROM workflow.workflow_hooks')).length > 0;
}

test('status RUN_ID shows steps, attempts, waits, errors and cost', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('mixedWorkflow', ['status']);
  await until('it waits for its hook', () => hasHook(app));
  const waiting = await status(app, runId);
  await app.ask('resume', 'hook-status', '{"answer":"yes"}');
  await app.ended(runId);
  const { stdout, exitCode } = await status(app, runId);

  expect(waiting.stdout).toMatch(/⏸ hook hook-status/);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/state +completed in/);
  expect(stdout).toMatch(/✓ flaky +[\d.]+ s, 3 executions/);
  expect(stdout).toMatch(/✗ fatal +[\d.]+ s, never again/);
  expect(stdout).toMatch(/✓ wait +1(\.\d)? s/);

  const example = await run(startProgram(INDEX, ['content', '--json'], { env: app.env }));
  const { runs } = JSON.parse(example.stdout) as { runs: { runId: string }[] };
  const document = JSON.parse((await status(app, runs[0]!.runId, '--json')).stdout) as Record<string, unknown>;
  expect(document).toMatchObject({
    status: 'completed',
    model: 'simulated',
    usage: { calls: 3, openCalls: 0, models: ['sonnet'] },
    activities: [
      { kind: 'step', name: 'analyzeSentiment', state: 'completed', executions: 1 },
      { kind: 'wait', state: 'completed' },
      { kind: 'step', name: 'extractTopics' },
      { kind: 'step', name: 'generateReport' },
    ],
  });

  const unknown = await status(app, 'wrun_unknown');
  expect(unknown.exitCode).toBe(1);
  expect(unknown.stderr).toContain('There is no run wrun_unknown');
});

test('a run whose code no worker has is shown as waiting for it; a worker with that code goes on with it', async () => {
  const app = await createApplication();
  const old = { TEST_WORKFLOWS: 'workflows.ts' };
  const oldWorker = await app.startWorker(old);
  const [runId = ''] = await app.start('parkedWorkflow', ['rolling']);
  await until('it waits for its hook', () => hasHook(app));
  const newWorker = await app.startWorker({ TEST_WORKFLOWS: 'other-workflows.ts' });
  oldWorker.kill('SIGTERM');
  await oldWorker.exited;

  await app.ask('resume', 'rolling', '{}');
  expect((await statusDocument(app)).runs[0]?.waitsForWorker).toBe(true);
  expect((await status(app)).stdout).toMatch(/⚠ waits for a worker with the code [0-9a-f]{12}-simulated/);
  expect(await app.query('SELECT status::text FROM workflow.workflow_runs')).toEqual([{ status: 'running' }]);

  await app.startWorker(old);
  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.executions()).toHaveLength(2);
  expect((await statusDocument(app)).workers.map(({ pid }) => pid)).toContain(newWorker.pid);
});

test.skipIf(process.platform !== 'linux')('on a terminal, each step and wait is shown as it goes on', async () => {
  const app = await createApplication();
  // `script` gives the program a terminal; what it writes there comes back on stdout.
  const command = `${process.execPath} --import tsx index.ts`;
  const program = startCommand('script', ['--quiet', '--return', '--command', command, '/dev/null'], { env: app.env });
  await program.says('⏸ waiting: 2 s left');
  const { stdout, exitCode } = await run(program);

  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/ {2}→ analyzeSentiment\r\n {2}✓ analyzeSentiment [\d.]+ s\r\n {2}⏸ waiting for 3 s/);
  expect(stdout).toMatch(/✓ waited for [\d.]+ s\r\n {2}→ extractTopics/);
  expect(stdout).toMatch(/Read on about .*\r\n {2}✓ generateReport [\d.]+ s/);
});

test('status RUN_ID shows what the workflow returned, also what JSON has not', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('oddResultWorkflow', []);
  await app.ended(runId);
  const [text, json] = await Promise.all([status(app, runId), status(app, runId, '--json')]);

  expect(JSON.parse(json.stdout)).toMatchObject({
    result: { at: '1970-01-01T00:00:00.000Z', size: '12345678901234567890', seen: [['a', [1]]] },
  });
  expect(text.stdout).toMatch(/ {2}Result\n {2}at: 1970-01-01T00:00:00.000Z\n {2}size: 12345678901234567890\n/);
});
