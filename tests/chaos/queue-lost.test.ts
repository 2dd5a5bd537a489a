import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createApplication, type Application } from '../support/application.ts';
import { PROJECT, run, startProgram, type Program } from '../support/program.ts';
import { cpuSeconds } from '../support/resources.ts';
import { until } from '../support/until.ts';

const WITHIN_MS = 30_000;

test('after the jobs of the queue were truncated, every run goes on within 30 s', async () => {
  const app = await createApplication();
  const slots = { WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '4' };
  const worker = await app.startWorker(slots);
  const runs = await startOneOfEach(app);
  const [inStep = ''] = await app.start('parallelWorkflow', [3, 5_000]);
  const queued = await app.start('parallelWorkflow', [4, 500], 3);
  await until('steps are being executed', async () => (await app.executions()).length >= 6);
  await app.query('TRUNCATE workflow_queue.job');
  const lostAt = Date.now();

  await app.ask('resume', 'hook-lost', '{}');
  for (const { status } of await Promise.all([...runs, inStep, ...queued].map(app.ended)))
    expect(status).toBe('completed');

  console.log(`After TRUNCATE: all runs ended after ${Date.now() - lostAt} ms`);
  expect(Date.now() - lostAt).toBeLessThan(WITHIN_MS);
  expectUnharmed(worker);
});

test('without its schema the queue waits, says so once, and goes on by itself when setup was run', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const runs = await startOneOfEach(app);
  const inSteps = await app.start('parallelWorkflow', [2, 4_000], 2);
  await until('steps are being executed', async () => (await app.executions()).length >= 6);
  const cpuBefore = await cpuSeconds(worker.pid);
  const lostAt = Date.now();
  await app.query('DROP SCHEMA workflow_queue CASCADE');
  await worker.says('npm run postgres-world:setup');
  // Longer than the steps take: their results are recorded meanwhile.
  await until('some time has passed', () => Date.now() - lostAt > 8_000);
  const cpu = ((await cpuSeconds(worker.pid)) - cpuBefore) / ((Date.now() - lostAt) / 1_000);

  const setup = startProgram(join(PROJECT, 'setup-db.ts'), [], { env: app.env });
  expect((await run(setup)).exitCode).toBe(0);
  const backAt = Date.now();
  await app.ask('resume', 'hook-lost', '{}');
  for (const { status } of await Promise.all([...runs, ...inSteps].map(app.ended))) expect(status).toBe('completed');

  console.log(
    `After DROP SCHEMA: all runs ended ${Date.now() - backAt} ms after setup; ${cpu.toFixed(2)} cores meanwhile`,
  );
  expect(Date.now() - backAt).toBeLessThan(WITHIN_MS);
  expect(cpu).toBeLessThan(0.3);
  expect(worker.stderr.split('npm run postgres-world:setup')).toHaveLength(2);
  expect(worker.stderr).toContain('The queue is back');
  expectUnharmed(worker);
  const [late = ''] = await app.start('sequenceWorkflow', [2]);
  expect((await app.ended(late)).status).toBe('completed');
});

/** Runs that wait for a hook, for a time, and for nothing but their turn. */
async function startOneOfEach(app: Application): Promise<string[]> {
  const [onHook = ''] = await app.start('parkedWorkflow', ['hook-lost']);
  const [sleeping = ''] = await app.start('mixedWithoutHookWorkflow', []);
  await until('the run waits for its hook', async () => (await app.query('SELECT FROM workflow_hooks')).length === 1);
  return [onHook, sleeping];
}

function expectUnharmed(worker: Program): void {
  expect(worker.stderr).not.toMatch(/^\s+at /m);
  expect(worker.stderr.split('\n').length).toBeLessThan(60);
}
