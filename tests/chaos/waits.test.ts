import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { findForgottenRuns } from '../../src/queue/forgotten-runs.ts';
import { findOrphanedJobs } from '../../src/queue/orphaned-jobs.ts';
import { createApplication } from '../support/application.ts';
import { createTestDatabase } from '../support/database.ts';
import { insertParkedRuns } from '../support/runs.ts';
import { until } from '../support/until.ts';

test('a sleep outlives the worker that began it, and is not cut short (vercel/workflow #679)', async () => {
  const app = await createApplication();
  const victim = await app.startWorker();
  const [runId = ''] = await app.start('napWorkflow', []);
  await until('it sleeps', async () => (await app.query('SELECT FROM workflow.workflow_waits')).length === 1);
  victim.kill('SIGKILL');
  await victim.exited;
  await app.startWorker();

  expect(await app.ended(runId)).toEqual({ status: 'completed' });

  const [slept] = await app.query<{ seconds: number }>(
    `SELECT extract(epoch FROM max(created_at) FILTER (WHERE type = 'wait_completed')
       - max(created_at) FILTER (WHERE type = 'wait_created'))::float AS seconds FROM workflow.workflow_events`,
  );
  // Counted from the call of sleep(), some milliseconds before the event.
  expect(slept?.seconds).toBeGreaterThan(3.9);
  expect(await app.executions()).toHaveLength(1);
});

test('a hook that comes while a step is being executed does not execute it again (vercel/workflow #2780)', async () => {
  const app = await createApplication();
  await Promise.all([app.startWorker(), app.startWorker()]);
  const [runId = ''] = await app.start('hookBesideStepWorkflow', ['besides', 4_000]);
  await until('the step is being executed', async () => (await app.executions()).length === 1);
  await app.ask('resume', 'besides', '"hello"');

  expect(await app.ended(runId)).toEqual({ status: 'completed' });

  expect(await app.ask('result', runId)).toEqual([['hello', 1]]);
  expect(await app.executions()).toHaveLength(1);
});

test('10,000 runs that are parked on hooks and timers cost the sweep no more than a look into an index', async () => {
  const database = await createTestDatabase();
  await insertParkedRuns(database, 10_000);
  const client = new Client({ connectionString: database.url });
  await client.connect();
  onTestFinished(() => client.end());
  const rowsRead = async () => {
    await client.query('SELECT pg_stat_force_next_flush()');
    const [read] = (
      await client.query<{ rows: number }>(
        `SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::integer AS rows FROM pg_stat_user_tables
         WHERE relname IN ('run_progress', 'job', 'job_common', 'workflow_steps', 'workflow_runs', 'workflow_events')`,
      )
    ).rows;
    return read!.rows;
  };
  const before = await rowsRead();

  for (let n = 0; n < 10; n += 1) {
    expect(await findForgottenRuns(client, 'workflow_', 'workflow_queue')).toEqual([]);
    expect(await findOrphanedJobs(client, 'workflow_', 'workflow_queue')).toEqual([]);
  }

  const after = await rowsRead();
  expect(after - before).toBeLessThan(100);
  // What no index helps with does show.
  await client.query('SELECT FROM workflow_engine.run_progress WHERE wake_seq + 1 = 0');
  expect(await rowsRead()).toBeGreaterThanOrEqual(after + 10_000);
});

test('a worker replays none of 10,000 parked runs, and takes the one that is due', async () => {
  const app = await createApplication();
  const [runId = ''] = await app.start('waitingWorkflow', [5_000]);
  const [run] = await app.query<{ id: string }>('SELECT deployment_id AS id FROM workflow.workflow_runs');
  await insertParkedRuns(app, 10_000, run?.id);
  await app.startWorker();

  expect(await app.ended(runId)).toEqual({ status: 'completed' });

  expect(await app.query(`SELECT DISTINCT run_id FROM workflow.workflow_events`)).toEqual([{ run_id: runId }]);
  expect(
    await app.query(`SELECT FROM workflow_queue.job WHERE data -> 'payload' ->> 'runId' <> $1 AND state <> 'created'`, [
      runId,
    ]),
  ).toEqual([]);
});
