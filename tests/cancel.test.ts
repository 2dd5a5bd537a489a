import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { createApplication, type Application } from './support/application.ts';
import { createCheckout } from './support/checkout.ts';
import { clisOf, LONG_TEXT, msUntilKilled, openJobs } from './support/long-answers.ts';
import { runningClis } from './support/processes.ts';
import { PROJECT, run, startCommand, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

const INDEX = join(PROJECT, 'index.ts');

const cancel = (app: Application, ...args: string[]) => run(startProgram(INDEX, ['cancel', ...args], { env: app.env }));

const TARGET_WORLD = { WORKFLOW_TARGET_WORLD: './world-config.ts', WORKFLOW_NO_UPDATE_CHECK: '1' };
const official = (env: Record<string, string>, ...args: string[]) =>
  run(startCommand('npx', ['workflow', 'cancel', ...args], { env: { ...env, ...TARGET_WORLD } }));

const statusOf = async (app: Application, runId: string) =>
  (await app.query<{ status: string }>('SELECT status::text FROM workflow_runs WHERE id = $1', [runId]))[0]?.status;

test('cancel RUN_ID kills the model call of another process, and nothing of the run is left to do', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const [runId = ''] = await app.start('contentAnalysisWorkflow', [LONG_TEXT]);
  await until('the report is being written', async () => {
    return (await app.query('SELECT FROM workflow_stream_chunks')).length > 3;
  });
  const clis = await clisOf([worker], 1);
  const [cancelled] = await Promise.all([cancel(app, runId), msUntilKilled(app, runId, clis)]);

  expect(cancelled.exitCode).toBe(0);
  expect(cancelled.stdout).toContain(`Cancelled contentAnalysisWorkflow: run ${runId}`);
  expect(cancelled.stdout).toContain('1 step was being executed (generateReport): its model call is killed.');
  expect(cancelled.stdout).toMatch(/After [\d.]+ s, no worker holds it any more/);
  expect(await openJobs(app, runId)).toEqual([]);
  const status = await run(startProgram(INDEX, ['status', runId], { env: app.env }));
  expect(status.stdout).toMatch(/✗ generateReport +cut off after/);
  const again = await cancel(app, runId, '--json');
  expect(again.exitCode).toBe(0);
  expect(JSON.parse(again.stdout)).toMatchObject({ runId, status: 'cancelled', isNew: false, runningSteps: [] });
  expect(await statusOf(app, runId)).toBe('cancelled');
  expect(await runningClis(worker.pid)).toEqual([]);
  expect(worker.stderr).toBe('');
});

test('the model calls of a run on two workers are killed, and the step that waited is never begun', async () => {
  const app = await createApplication();
  const slot = { WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '1' };
  const workers = await Promise.all([app.startWorker(slot), app.startWorker(slot)]);
  const [runId = ''] = await app.start('multiAgentResearchWorkflow', [LONG_TEXT]);
  const clis = await clisOf(workers, 2);
  expect(new Set(clis.map(({ parent }) => parent)).size).toBe(2);
  const [cancelled] = await Promise.all([cancel(app, runId, '--json'), msUntilKilled(app, runId, clis)]);

  expect(JSON.parse(cancelled.stdout)).toMatchObject({
    workflow: 'multiAgentResearchWorkflow',
    runId,
    status: 'cancelled',
    isNew: true,
    runningSteps: ['research', 'research'],
    releasedAfterMs: expect.any(Number) as number,
  });
  expect(await openJobs(app, runId)).toEqual([]);
  // Both have a slot again.
  const [next = ''] = await app.start('parallelWorkflow', [2, 1]);
  expect(await app.ended(next)).toEqual({ status: 'completed' });
  expect(await statusOf(app, runId)).toBe('cancelled');
  const started = `SELECT FROM workflow_events WHERE run_id = $1 AND type = 'step_started'`;
  expect(await app.query(started, [runId])).toHaveLength(2);
  expect(workers.map(({ stderr }) => stderr)).toEqual(['', '']);
});

test('runs that sleep, wait for a hook, or have no worker at all are cancelled, and leave no job behind', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const [sleeping = '', waiting = ''] = await app.startAll(['sleepingWorkflow', []], ['parkedWorkflow', ['hook']]);
  await until('both are parked', async () => {
    const parked = await app.query(
      `SELECT FROM workflow_engine.run_progress WHERE run_id = $1 AND due_at IS NOT NULL
       UNION ALL SELECT FROM workflow_hooks`,
      [sleeping],
    );
    return parked.length === 2;
  });
  for (const runId of [sleeping, waiting]) {
    expect((await cancel(app, runId)).stdout).toContain('No step of it was being executed.');
    await until('no job is left', async () => (await openJobs(app, runId)).length === 0, 10_000);
  }
  worker.kill('SIGTERM');
  await worker.exited;
  const [nobodys = ''] = await app.start('sequenceWorkflow', [3]);

  expect((await cancel(app, nobodys)).exitCode).toBe(0);

  await app.startWorker();
  await until('no job is left', async () => (await openJobs(app, nobodys)).length === 0, 30_000);
  expect(await app.executions()).toHaveLength(1);
  for (const runId of [sleeping, waiting, nobodys]) expect(await statusOf(app, runId)).toBe('cancelled');
});

test('cancel refuses a run that is not there, of another application, or ended, and says what it is', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [completed = ''] = await app.start('sequenceWorkflow', [1]);
  await app.ended(completed);
  const other = { ...app, env: { ...app.env, WORKFLOW_POSTGRES_JOB_PREFIX: 'other_' } };
  const refused = await Promise.all([cancel(app, 'wrun_nobody'), cancel(other, completed), cancel(app, completed)]);

  expect(refused.map(({ stderr }) => stderr.trim())).toEqual([
    'There is no run wrun_nobody with the job prefix "workflow_".',
    `There is no run ${completed} with the job prefix "other_".`,
    `${completed} is completed: only a run that has not ended can be cancelled.`,
  ]);
  expect(refused.map(({ exitCode, stdout }) => [exitCode, stdout])).toEqual([
    [1, ''],
    [1, ''],
    [1, ''],
  ]);
});

test('a worker that does not let go of the run is warned of, and the run is cancelled all the same', async () => {
  const app = await createApplication();
  const [runId = ''] = await app.start('sequenceWorkflow', [1]);
  // Its holder hangs, and there is nobody who would take it away.
  await app.query(`UPDATE workflow_queue.job SET state = 'active', started_on = now()`);

  const { exitCode, stdout } = await cancel(app, runId);

  expect(exitCode).toBe(0);
  expect(stdout).toContain('⚠ A worker still holds it after 3 s');
  expect(await statusOf(app, runId)).toBe('cancelled');
});

test('when a run completes while it is being cancelled, the command says so', async () => {
  const app = await createApplication();
  const [runId = ''] = await app.start('sequenceWorkflow', [1]);
  const locker = new Client({ connectionString: app.url });
  await locker.connect();
  await locker.query('BEGIN; SELECT FROM workflow_engine.run_progress FOR UPDATE');
  const cancelling = cancel(app, runId);
  await until('the cancellation waits', async () => {
    const waiting = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
    return (await app.query(waiting)).length > 0;
  });
  await locker.query(`UPDATE workflow_runs SET status = 'completed'; COMMIT`);
  await locker.end();

  const { exitCode, stderr } = await cancelling;

  expect(exitCode).toBe(1);
  expect(stderr).toContain(`${runId} is completed: it has ended in this moment, before it was cancelled.`);
});

test('the official tool cannot cancel a run of another application on the same database, one or all of them', async () => {
  const app = await createApplication((url) => ({
    WORKFLOW_POSTGRES_URL: url,
    WORKFLOW_POSTGRES_JOB_PREFIX: 'other_',
  }));
  const [runId = ''] = await app.start('sleepingWorkflow', []);
  const { WORKFLOW_POSTGRES_JOB_PREFIX: _, ...variables } = app.env;
  const [one] = await Promise.all([
    official(variables, runId),
    run(
      startCommand('npx', ['workflow', 'cancel', '--status=pending', '-y'], { env: { ...variables, ...TARGET_WORLD } }),
    ),
  ]);

  expect(one.exitCode).not.toBe(0);
  expect(await app.query('SELECT status::text FROM workflow_runs')).toEqual([{ status: 'pending' }]);
});

test('the official `workflow cancel` kills the model calls of one run, or of all that are running', async () => {
  const app = await createApplication();
  const worker = await app.startWorker({ WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '2' });
  const { checkout } = await createCheckout(0o755);
  const start = async () => (await app.start('multiAgentResearchWorkflow', [LONG_TEXT]))[0]!;
  const single = await start();
  const clis = await clisOf([worker], 2);
  const [one] = await Promise.all([official(app.env, single), msUntilKilled(app, single, clis)]);

  expect(one.exitCode).toBe(0);
  expect(one.stdout).toContain(`Cancelled run ${single}`);
  const [first, second] = [await start(), await start()];
  const more = await clisOf([worker], 2);
  const variables = Object.entries({ ...app.env, ...TARGET_WORLD });
  await writeFile(join(checkout, '.env'), variables.map((pair) => pair.join('=')).join('\n'));
  const [bulk] = await Promise.all([
    run(startCommand('npx', ['workflow', 'cancel', '--status=running', '-y'], { cwd: checkout })),
    ...[first, second].map((runId) => msUntilKilled(app, runId, more)),
  ]);
  expect(bulk.exitCode).toBe(0);
  expect(bulk.stdout).toContain('Done: 2 cancelled');
  // The tool ends before it writes its errors; --verbose writes them at once.
  await app.query(`UPDATE workflow_runs SET status = 'completed' WHERE id = $1`, [first]);
  const failed = await official(app.env, first, '--verbose');
  expect(failed.exitCode).toBe(1);
  expect(failed.stderr).toContain('Cannot transition run from terminal state "completed"');
  expect(worker.stderr).toBe('');
});
