import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createApplication, type Application } from '../support/application.ts';
import { PROJECT, startProgram, type Program } from '../support/program.ts';
import { cpuSeconds } from '../support/resources.ts';
import { until } from '../support/until.ts';

const WITHIN_MS = 30_000;

test('after the jobs of the queue were truncated, every run goes on within 30 s', async () => {
  const app = await createApplication();
  const { worker, parked, others } = await startOneOfEach(app);
  await app.query('TRUNCATE workflow_queue.job');
  const lostAt = Date.now();

  for (const { status } of await Promise.all(others.map(app.ended))) expect(status).toBe('completed');

  console.log(`After TRUNCATE: the runs went on and ended within ${Date.now() - lostAt} ms`);
  expect(Date.now() - lostAt).toBeLessThan(WITHIN_MS);
  await app.ask('resume', 'hook-lost', '{}');
  expect((await app.ended(parked)).status).toBe('completed');
  expectUnharmed(worker);
});

test('steps whose jobs were truncated while they were queued are executed within 30 s', async () => {
  const app = await createApplication();
  const runIds = await app.start('parallelWorkflow', [4, 1_000], 2);
  const worker = await app.startWorker({ WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '1' });
  await until('the first step is being executed', async () => (await app.executions()).length > 0);
  await app.query('TRUNCATE workflow_queue.job');
  const lostAt = Date.now();

  for (const { status } of await Promise.all(runIds.map(app.ended))) expect(status).toBe('completed');

  console.log(`After TRUNCATE of step jobs: the runs ended within ${Date.now() - lostAt} ms`);
  expect(Date.now() - lostAt).toBeLessThan(WITHIN_MS);
  expectUnharmed(worker);
});

test('without its schema the queue waits, says so once, and goes on by itself when setup was run', async () => {
  const app = await createApplication();
  const { worker, parked, others } = await startOneOfEach(app);
  const lostAt = Date.now();
  await app.query('DROP SCHEMA workflow_queue CASCADE');
  const cpuBefore = await cpuSeconds(worker.pid);
  await worker.says('npm run postgres-world:setup');
  // Longer than the steps take: their results are recorded meanwhile.
  await until('the steps have ended', async () => {
    return (await app.query(`SELECT FROM workflow_steps WHERE status = 'running'`)).length === 0;
  });
  const setup = startProgram(join(PROJECT, 'setup-db.ts'), [], { env: app.env });
  await setup.says('tables and views exist');
  const backAt = Date.now();
  const cores = ((await cpuSeconds(worker.pid)) - cpuBefore) / ((backAt - lostAt) / 1_000);
  for (const { status } of await Promise.all(others.map(app.ended))) expect(status).toBe('completed');

  console.log(
    `After DROP SCHEMA: all runs ended within ${Date.now() - backAt} ms of setup; ${cores.toFixed(2)} cores before`,
  );
  expect(Date.now() - backAt).toBeLessThan(WITHIN_MS);
  expect(cores).toBeLessThan(0.2);
  const steps = (await app.executions()).map(({ stepId }) => stepId);
  expect(steps).toHaveLength(new Set(steps).size);
  await app.ask('resume', 'hook-lost', '{}');
  expect((await app.ended(parked)).status).toBe('completed');
  expect(worker.stderr.split('npm run postgres-world:setup')).toHaveLength(2);
  expect(worker.stderr).toContain('The queue is back');
  expectUnharmed(worker);
});

interface Scene {
  worker: Program;
  parked: string;
  others: string[];
}

/** Runs that are parked on a hook, asleep, and in the middle of steps. */
async function startOneOfEach(app: Application): Promise<Scene> {
  const [parked = '', ...others] = await app.startAll(
    ['parkedWorkflow', ['hook-lost']],
    ['mixedWithoutHookWorkflow', []],
    ['parallelWorkflow', [2, 5_000]],
    ['parallelWorkflow', [2, 5_000]],
  );
  const worker = await app.startWorker();
  await until('a run waits for its hook', async () => (await app.query('SELECT FROM workflow_hooks')).length === 1);
  await until('the steps are being executed', async () => (await app.executions()).length >= 6);
  return { worker, parked, others };
}

function expectUnharmed(worker: Program): void {
  expect(worker.stderr).not.toMatch(/^\s+at /m);
  expect(worker.stderr.split('\n').length).toBeLessThan(60);
}
