import { expect, test } from 'vitest';
import { createApplication } from './support/application.ts';
import { until } from './support/until.ts';

test('three workers share 50 runs, and no step is executed twice', async () => {
  const app = await createApplication();
  const workers = await Promise.all([app.startWorker(), app.startWorker(), app.startWorker()]);
  const runIds = await app.start('parallelWorkflow', [4, 20], 50);

  const ended = await Promise.all(runIds.map(app.ended));

  expect(ended.map(({ status }) => status)).toEqual(Array(50).fill('completed'));
  const executions = await app.executions();
  expect(executions).toHaveLength(200);
  expect(new Set(executions.map(({ stepId }) => stepId)).size).toBe(200);
  expect(new Set(executions.map(({ pid }) => pid))).toEqual(new Set(workers.map(({ pid }) => pid)));
  // A run has ended a moment before its job has.
  const open = `SELECT FROM workflow_queue.job WHERE state < 'completed'`;
  await until('no job is left', async () => (await app.query(open)).length === 0);
});

test('retries, a fatal error, a sleep and a hook: the run ends as it is written', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('mixedWorkflow', ['once']);

  await until('the run waits for its hook', async () => (await app.query('SELECT FROM workflow_hooks')).length === 1);
  await app.ask('resume', 'hook-once', '{"answer":"yes"}');
  await app.ended(runId);

  const [result] = await app.ask('result', runId);
  expect(result).toEqual({
    first: 2,
    second: 4,
    third: 'attempt 3',
    caught: expect.stringContaining('never again'),
    answer: 'yes',
    runId,
  });
  // Five steps; the flaky one three times.
  expect(await app.executions()).toHaveLength(1 + 1 + 3 + 1);
});

test('parallel steps spread over workers with one slot each', async () => {
  const app = await createApplication();
  const slot = { WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '1' };
  await Promise.all([app.startWorker(slot), app.startWorker(slot)]);
  const [runId = ''] = await app.start('parallelWorkflow', [4, 1_000]);

  await app.ended(runId);

  const executions = await app.executions();
  expect(executions).toHaveLength(4);
  expect(new Set(executions.map(({ pid }) => pid)).size).toBe(2);
});

test('a run goes on when the worker that drives it is killed in the middle of a step', async () => {
  const app = await createApplication();
  const victim = await app.startWorker();
  const [runId = ''] = await app.start('parallelWorkflow', [2, 2_000]);
  await until('both steps are being executed', async () => (await app.executions()).length === 2);
  victim.kill('SIGKILL');
  const survivor = await app.startWorker();

  expect(await app.ended(runId)).toEqual({ status: 'completed' });

  const executions = await app.executions();
  expect(executions.map(({ pid }) => pid)).toEqual([victim.pid, victim.pid, survivor.pid, survivor.pid]);
});

test('a step that was interrupted more often than it may be retried is not failed for it', async () => {
  const app = await createApplication();
  const [runId = ''] = await app.start('waitingWorkflow', [1_500]);
  for (let n = 1; n <= 4; n += 1) {
    const worker = await app.startWorker();
    await until(`execution ${n} has begun`, async () => (await app.executions()).length === n);
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
  }
  await app.startWorker();

  await app.ended(runId);

  expect(await app.ask('result', runId)).toEqual([1]);
  expect(await app.query('SELECT attempt FROM workflow_steps')).toEqual([{ attempt: 5 }]);
});

test('a stopped worker hands its runs to another one at once', async () => {
  const app = await createApplication();
  const [leaving, staying] = await Promise.all([app.startWorker(), app.startWorker()]);
  const runIds = await app.start('waitingWorkflow', [3_000], 6);
  await until('all runs are being worked on', async () => (await app.executions()).length === 6);
  leaving.kill('SIGTERM');
  expect(await leaving.exited).toBe(0);

  const handedOver = await until('the other worker has them all', async () => {
    const executions = await app.executions();
    const byStaying = new Set(executions.filter(({ pid }) => pid === staying.pid).map(({ stepId }) => stepId));
    return byStaying.size === 6 && executions;
  });

  expect(handedOver.some(({ pid }) => pid === leaving.pid)).toBe(true);
  for (const { status } of await Promise.all(runIds.map(app.ended))) expect(status).toBe('completed');
});

test('a run whose first message was lost is found by the sweep', async () => {
  const app = await createApplication();
  const [runId = ''] = await app.start('sequenceWorkflow', [3]);
  await app.query('TRUNCATE workflow_queue.job');
  await app.startWorker();

  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.ask('result', runId)).toEqual([12]);
});

test('a run whose creation was lost is created from its message', async () => {
  const app = await createApplication();
  const [runId = ''] = await app.start('sequenceWorkflow', [2]);
  await app.query('TRUNCATE workflow.workflow_runs, workflow.workflow_events, workflow_engine.run_progress');
  await app.startWorker();

  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.ask('result', runId)).toEqual([6]);
});

test('a process without workers starts runs, and takes none', async () => {
  const app = await createApplication();
  const runIds = await app.start('sequenceWorkflow', [1], 20);

  expect(runIds).toHaveLength(20);
  expect(await app.query(`SELECT DISTINCT status::text FROM workflow_runs`)).toEqual([{ status: 'pending' }]);
  expect(await app.executions()).toEqual([]);
});
