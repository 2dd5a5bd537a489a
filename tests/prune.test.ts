import { expect, test } from 'vitest';
import { RUN_TABLES } from '../src/prune/tables.ts';
import { parseDuration } from '../src/cli/duration.ts';
import { createApplication } from './support/application.ts';
import { createTestDatabase } from './support/database.ts';
import { areSettled, bulkRunId, insertEndedRuns, prune, rowsOf, tablesOfRuns } from './support/runs.ts';
import { until } from './support/until.ts';

const MAKE_OLD = `UPDATE workflow.workflow_runs SET created_at = created_at - interval '31 days',
  started_at = started_at - interval '31 days', completed_at = completed_at - interval '31 days' WHERE id = ANY ($1)`;

test('prune removes old finished runs with everything that belongs to them', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [streamed = ''] = await app.start('streamingWorkflow', [['a', 'b', 'c'], 5]);
  const [failed = ''] = await app.start('failingWorkflow', []);
  const [mixed = ''] = await app.start('mixedWorkflow', ['old']);
  const [young = ''] = await app.start('sequenceWorkflow', [2]);
  await until('the hook is there', async () => (await app.query('SELECT FROM workflow_hooks')).length === 1);
  await app.ask('resume', 'hook-old', '{"answer":"yes"}');
  const old = [streamed, failed, mixed];
  for (const runId of [...old, young]) await app.ended(runId);
  await until('their jobs are finished', () => areSettled(app, [...old, young]));
  // Ended runs have none of these any more, unless something went wrong.
  await app.query(
    `INSERT INTO workflow_hooks (run_id, hook_id, token, owner_id, project_id, environment) VALUES ($1, 'h', 't', '', '', '')`,
    [mixed],
  );
  await app.query(`INSERT INTO workflow_waits (wait_id, run_id, status) VALUES ('w', $1, 'waiting')`, [mixed]);
  await app.query(`INSERT INTO workflow_engine.step_progress (step_id, run_id, job_prefix) VALUES ('s', $1, 'p')`, [
    mixed,
  ]);
  await app.query(MAKE_OLD, [old]);
  const kept = await rowsOf(app, [young]);

  const { removed, keptRuns } = await prune(app, '30d');

  expect(await rowsOf(app, old)).toEqual({});
  expect(await rowsOf(app, [young])).toEqual(kept);
  expect(removed).toMatchObject({ runs: 3, hooks: 1, waits: 1, steps: 6 });
  expect(keptRuns).toBe(0);
});

test('every table with rows of a run is known to prune', async () => {
  const database = await createTestDatabase();
  const known = [...RUN_TABLES.map(({ table }) => table), 'workflow.workflow_runs', 'workflow_engine.run_progress'];
  const tables = await tablesOfRuns(database);

  expect(tables.map(({ table }) => table)).toEqual(known.toSorted());
});

test('a run that is alive is never removed, however old', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const [hooked = ''] = await app.start('mixedWorkflow', ['never']);
  const [sleeping = ''] = await app.start('sleepingWorkflow', []);
  const [executing = '', cancelled = ''] = await app.start('waitingWorkflow', [3_600_000], 2);
  await until('one is parked on a hook', async () => (await app.query('SELECT FROM workflow_hooks')).length === 1);
  await until('two are being executed', async () => {
    return (await app.query(`SELECT FROM workflow_steps WHERE status = 'running'`)).length === 2;
  });
  await until('the timer is parked', async () => {
    return (await app.query('SELECT FROM workflow_engine.run_progress WHERE due_at IS NOT NULL')).length === 1;
  });
  worker.kill('SIGKILL');
  await worker.exited;
  const [pending = '', unwanted = ''] = await app.start('sequenceWorkflow', [1], 2);
  const alive = [hooked, sleeping, executing, cancelled, pending, unwanted];
  // One is still being executed, the other's first job, which carries its input, is still queued.
  await app.query(`UPDATE workflow_runs SET status = 'cancelled', completed_at = now() WHERE id = ANY ($1)`, [
    [cancelled, unwanted],
  ]);
  await app.query(MAKE_OLD, [alive]);
  const before = await rowsOf(app, alive);

  const { removed, keptRuns } = await prune(app, '0s');

  expect(removed).toMatchObject({ runs: 0, events: 0, steps: 0, streamChunks: 0 });
  expect(keptRuns).toBe(2);
  expect(await rowsOf(app, alive)).toEqual(before);
});

test('--dry-run removes nothing and counts the same', async () => {
  const database = await createTestDatabase();
  await insertEndedRuns(database, { count: 230 });
  await insertEndedRuns(database, { count: 1, first: 1_000, chunks: 6_000 });
  await insertEndedRuns(database, { count: 20, first: 2_000, endedDaysAgo: 29 });
  const runIds = Array.from({ length: 2_020 }, (_, n) => bulkRunId(n));
  const before = await rowsOf(database, runIds);

  const counted = await prune(database, '30d', '--dry-run');

  expect(await rowsOf(database, runIds)).toEqual(before);
  const { removed } = await prune(database, '30d');
  expect(counted.removed).toEqual(removed);
  expect(removed).toEqual({
    runs: 231,
    events: 231 * 5,
    steps: 231 * 2,
    hooks: 0,
    waits: 0,
    streamChunks: 230 * 3 + 6_000,
    jobs: 231 * 2,
  });
});

test("another application's runs on the same database stay", async () => {
  const database = await createTestDatabase();
  await insertEndedRuns(database, { count: 10 });
  await insertEndedRuns(database, { count: 10, first: 100, jobPrefix: 'other_' });
  const others = Array.from({ length: 10 }, (_, n) => bulkRunId(100 + n));
  const before = await rowsOf(database, others);

  const { removed } = await prune(database, '0s');

  expect(removed).toMatchObject({ runs: 10, events: 50, jobs: 20 });
  expect(await rowsOf(database, others)).toEqual(before);
});

test('a late job of a run that was removed ends, and leaves nothing behind', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('sequenceWorkflow', [1]);
  await app.ended(runId);
  await until('its jobs are finished', () => areSettled(app, [runId]));
  const [name] = await app.query<{ flows: string; step: string }>(
    `SELECT 'workflow_flows.' || r.deployment_id AS flows, s.step_id AS step
     FROM workflow_runs r JOIN workflow_steps s ON s.run_id = r.id`,
  );
  await prune(app, '0s');
  const { flows = '', step = '' } = name ?? {};
  const send = (queue: string, key: string, payload: object, queueName: string) =>
    app.query(
      `INSERT INTO workflow_queue.job (name, policy, singleton_key, group_id, retry_limit, heartbeat_seconds, data)
       VALUES ($1, 'exclusive', $2, $3, 3, 10, $4)`,
      [queue, key, runId, JSON.stringify({ queueName, payload })],
    );

  await send(flows, runId, { runId }, '__wkf_workflow_workflow//./tests/fixtures/workflows//sequenceWorkflow');
  await send(
    flows.replace('flows', 'steps'),
    step,
    { workflowName: 'x', workflowRunId: runId, workflowStartedAt: Date.now(), stepId: step },
    '__wkf_step_step//./tests/fixtures/workflows//double',
  );

  const finished = `SELECT FROM workflow_queue.job WHERE state = 'completed' AND retry_count = 0 AND data::text LIKE $1`;
  await until('both are finished', async () => (await app.query(finished, [`%${runId}%`])).length === 2);
  expect(await rowsOf(app, [runId])).toEqual({ jobs: 2 });
});

test('durations are a whole number and a unit, and errors say so', () => {
  const parse = (text: string) => parseDuration(text, '--older-than');
  expect(['0s', '0d', '90m', '12h', '30d', '2w'].map(parse)).toEqual([0, 0, 5_400, 43_200, 2_592_000, 1_209_600]);
  for (const text of ['', '30', '-3d', '1.5h', '1 d', '30D', '3mo', '99999999w', 'd']) {
    expect(() => parse(text)).toThrow(/--older-than .* is no duration: write a whole number and a unit, as in 30d/);
  }
});
