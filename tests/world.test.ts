import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createApplication } from './support/application.ts';
import { createCheckout, postmasters } from './support/checkout.ts';
import { descendantsOf } from './support/processes.ts';
import { PROJECT, run, startCommand, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

test('`npx workflow inspect runs --json` shows our runs', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('sequenceWorkflow', [1]);
  await app.ended(runId);
  const env = { ...app.env, WORKFLOW_TARGET_WORLD: './world-config.ts' };
  const { exitCode, stdout } = await run(startCommand('npx', ['workflow', 'inspect', 'runs', '--json'], { env }));

  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ data: [{ runId, status: 'completed' }] });
});

test('the World is healthy only while the database answers', async () => {
  const { checkout, serverDirectory } = await createCheckout(0o755);
  const program = startProgram('tests/fixtures/process.ts', ['health'], { cwd: checkout });
  await program.says('"healthy":true');
  const [server] = await postmasters(serverDirectory);
  const backends = await descendantsOf(server!.pid);
  const signal = (name: NodeJS.Signals) => [server!, ...backends].forEach(({ pid }) => process.kill(pid, name));
  signal('SIGSTOP');
  const before = program.stdout.length;
  await until('it says so', () => program.stdout.slice(before).includes('"healthy":false'), 10_000).finally(() =>
    signal('SIGCONT'),
  );
  const after = program.stdout.length;
  await until('it has recovered', () => program.stdout.slice(after).includes('"healthy":true'), 30_000);
});

test("the specification's WORKFLOW_TARGET_WORLD is accepted, another World is not", async () => {
  const app = await createApplication();
  const start = (WORKFLOW_TARGET_WORLD: string) =>
    startProgram(join(PROJECT, 'index.ts'), ['worker'], { env: { ...app.env, WORKFLOW_TARGET_WORLD } });
  const accepted = start('@workflow/world-postgres');
  await accepted.says('with the queue and streams of ./world-config.ts');
  await accepted.says('Worker: takes the runs');
  expect(await app.query(`SELECT FROM pg_namespace WHERE nspname = 'graphile_worker'`)).toEqual([]);

  const { exitCode, stderr } = await run(start('local'));
  expect(exitCode).toBe(1);
  expect(stderr).toContain('is not the World of this project');
});

test('cancelling a run stops its steps on every worker', async () => {
  const app = await createApplication();
  const slot = { WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '1' };
  await Promise.all([app.startWorker(slot), app.startWorker(slot)]);
  const [runId = ''] = await app.start('parallelWorkflow', [2, 60_000]);
  await until('both workers execute a step', async () => {
    return new Set((await app.executions()).map(({ pid }) => pid)).size === 2;
  });
  const env = { ...app.env, WORKFLOW_TARGET_WORLD: './world-config.ts' };
  await run(startCommand('npx', ['workflow', 'cancel', runId], { env }));
  const [next = ''] = await app.start('parallelWorkflow', [2, 1]);

  // Each worker has one slot: long before the steps would have ended, both are free again.
  expect(await app.ended(next)).toEqual({ status: 'completed' });
  const [took] = await app.query<{ seconds: number }>(
    `SELECT extract(epoch FROM now() - min(at))::float AS seconds FROM executions`,
  );
  expect(took?.seconds).toBeLessThan(50);
});

test('a cancelled run ends, and its running step is stopped', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('waitingWorkflow', [60_000]);
  await until('the step is being executed', async () => (await app.executions()).length === 1);
  const env = { ...app.env, WORKFLOW_TARGET_WORLD: './world-config.ts' };
  const { exitCode } = await run(startCommand('npx', ['workflow', 'cancel', runId], { env }));

  expect(exitCode).toBe(0);
  expect(await app.ended(runId)).toEqual({ status: 'cancelled' });
  const nothingLeft = async () =>
    (await app.query(`SELECT FROM workflow_queue.job WHERE state < 'completed'`)).length === 0;
  await until('nothing is left to do, long before the step would have ended', nothingLeft, 15_000);
  expect(await app.executions()).toHaveLength(1);
});

test('a mistake in a workflow file is reported, and nothing is left running', async () => {
  const { checkout, serverDirectory } = await createCheckout(0o755);
  await writeFile(
    join(checkout, 'workflow-example.ts'),
    "export async function broken() {\n  'use workflow';\n  return (;\n}\n",
  );
  const { exitCode, stderr } = await run(startProgram('index.ts', [], { cwd: checkout }));

  expect(exitCode).toBe(1);
  expect(stderr).toContain('workflow-example.ts');
  expect(await postmasters(serverDirectory)).toEqual([]);
});
