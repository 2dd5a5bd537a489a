import { expect, test } from 'vitest';
import { createApplication, type Application } from '../support/application.ts';
import { createStarter } from '../support/setting.ts';
import { until } from '../support/until.ts';

/** Sessions in which a worker keeps its locks. */
const LOCKING = `FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'postgres-world session'`;

async function msUntilExecuted(app: Application, count: number): Promise<number> {
  const since = performance.now();
  await until(`there are ${count} executions`, async () => (await app.executions()).length >= count);
  return performance.now() - since;
}

test('when a worker is killed, another one goes on long before a heartbeat would lapse (vercel/workflow #1531, #3993)', async () => {
  const app = await createApplication();
  const victim = await app.startWorker();
  await app.start('waitingWorkflow', [60_000], 3);
  await until('all steps are being executed', async () => (await app.executions()).length === 3);
  await app.startWorker();
  victim.kill('SIGKILL');

  expect(await msUntilExecuted(app, 6)).toBeLessThan(9_000);
});

test('a worker that loses the session of its locks keeps its work', async () => {
  const app = await createApplication();
  const [worker] = await Promise.all([app.startWorker(), app.startWorker()]);
  const runIds = await app.start('waitingWorkflow', [8_000], 4);
  await until('all steps are being executed', async () => (await app.executions()).length === 4);
  for (let n = 0; n < 5; n += 1) {
    await app.query(`SELECT pg_terminate_backend(pid) ${LOCKING}`);
    await until('both have a session again', async () => (await app.query(`SELECT ${LOCKING}`)).length === 2);
  }

  await Promise.all(runIds.map(app.ended));

  expect(await app.executions()).toHaveLength(4);
  expect(await app.query('SELECT FROM workflow_engine.run_progress WHERE deaths > 0')).toEqual([]);
  expect(worker.stderr).toBe('');
});

test('steps whose jobs get lost are queued again, of a parked run and of one that is driven', async () => {
  const app = await createApplication();
  const worker = await app.startWorker({ WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '1' });
  // From this process: one that has to start first may take longer than the step.
  const start = await createStarter(app);
  const driven = await start('parallelWorkflow', [2, 5_000]);
  await until('the only slot is taken', async () => (await app.executions()).length === 1);
  const parked = await start('sequenceWorkflow', [1]);
  await until('two steps are queued, and a run is parked over one', async () => {
    const jobs = await app.query(`SELECT FROM workflow_queue.job WHERE name LIKE '%steps%' AND state = 'created'`);
    const runs = await app.query('SELECT FROM workflow_engine.run_progress WHERE awaits_steps');
    return jobs.length === 2 && runs.length === 1;
  });
  await app.query(`DELETE FROM workflow_queue.job WHERE name LIKE '%steps%'`);

  const ended = await Promise.all([driven, parked].map(app.ended));

  expect(ended).toEqual([{ status: 'completed' }, { status: 'completed' }]);
  expect(await app.executions()).toHaveLength(3);
  expect(worker.stderr).toBe('');
});
