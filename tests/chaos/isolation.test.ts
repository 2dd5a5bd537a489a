import { expect, test } from 'vitest';
import { createApplication, type Application } from '../support/application.ts';
import { areGone, descendantsOf, type ProcessInfo } from '../support/processes.ts';
import { until } from '../support/until.ts';

/** A run that five workers died of, as far as its row says. */
async function startPoisoned(app: Application, workflow: string, args: unknown[]): Promise<string> {
  const [runId = ''] = await app.start(workflow, args);
  await app.query('UPDATE workflow_engine.run_progress SET deaths = 5');
  return runId;
}

const isolatedOf = async (pid: number) =>
  (await descendantsOf(pid)).filter(({ command }) => command.includes('src/isolation/main.ts'));

/** The process is gone, the run can be taken at once, and nobody is said to have died. */
async function expectHandedBack(app: Application, isolated: readonly ProcessInfo[]): Promise<void> {
  await until('its process is gone', () => areGone(isolated), 10_000);
  const due = `SELECT FROM workflow_queue.job WHERE name LIKE '%flows%' AND state = 'created' AND start_after <= now()`;
  await until('the run can be taken', async () => (await app.query(due)).length === 1, 10_000);
  expect(await app.query('SELECT deaths FROM workflow_engine.run_progress')).toEqual([{ deaths: 5 }]);
}

test('a worker that is stopped hands back the run that a process of its own drives, and takes that process along', async () => {
  const app = await createApplication();
  const runId = await startPoisoned(app, 'waitingWorkflow', [8_000]);
  const worker = await app.startWorker();
  await until('the step is being executed', async () => (await app.executions()).length === 1);
  const isolated = await isolatedOf(worker.pid);
  expect((await app.executions()).map(({ pid }) => pid)).toEqual(isolated.map(({ pid }) => pid));
  worker.kill('SIGTERM');

  await expectHandedBack(app, isolated);

  await app.startWorker();
  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.executions()).toHaveLength(2);
});

test('a worker that is stopped while the process for a poisoned run starts has died of nothing', async () => {
  const app = await createApplication();
  const runId = await startPoisoned(app, 'waitingWorkflow', [1_000]);
  const worker = await app.startWorker();
  const isolated = await until('the process starts', async () => {
    const found = await isolatedOf(worker.pid);
    return found.length > 0 && found;
  });
  worker.kill('SIGTERM');

  await expectHandedBack(app, isolated);

  await app.startWorker();
  expect(await app.ended(runId)).toEqual({ status: 'completed' });
});

test('a process that hangs alone with its run is killed, and another one goes on', async () => {
  const app = await createApplication();
  const runId = await startPoisoned(app, 'waitingWorkflow', [3_000]);
  const worker = await app.startWorker();
  await until('the step is being executed', async () => (await app.executions()).length === 1);
  const [hung] = await isolatedOf(worker.pid);
  process.kill(hung!.pid, 'SIGSTOP');

  expect(await app.ended(runId)).toEqual({ status: 'completed' });

  await until('the hung one is gone', () => areGone([hung!]), 30_000);
  const executions = await app.executions();
  expect(new Set(executions.map(({ pid }) => pid)).size).toBe(2);
  expect(executions.map(({ pid }) => pid)).not.toContain(worker.pid);
});

test('parallel steps and retries of a run that is driven alone are executed there, each as often as it is written', async () => {
  const app = await createApplication();
  const runId = await startPoisoned(app, 'flakyBesideSlowWorkflow', [6_000]);
  await Promise.all([app.startWorker(), app.startWorker()]);

  expect(await app.ended(runId)).toEqual({ status: 'completed' });

  expect(await app.ask('result', runId)).toEqual([['attempt 3', 2, 1]]);
  const executions = await app.executions();
  expect(executions).toHaveLength(3 + 1 + 1);
  expect(new Set(executions.map(({ pid }) => pid)).size).toBe(1);
});

test('a run of which workers died, and which was cancelled before it was taken up again, comes to rest', async () => {
  const app = await createApplication();
  const runId = await startPoisoned(app, 'waitingWorkflow', [1_000]);
  await app.ask('cancel', runId);
  await app.startWorker();

  const open = `SELECT FROM workflow_queue.job WHERE name LIKE '%flows%' AND state < 'completed'`;
  await until('its job is gone', async () => (await app.query(open)).length === 0);
  expect(await app.ended(runId)).toEqual({ status: 'cancelled' });
  expect(await app.executions()).toEqual([]);
});
