/** What shares a statement, a plan or a slot with others. */
import { expect, test } from 'vitest';
import { frequentEvents } from '../src/postgres/frequent-events.ts';
import { createApplication } from './support/application.ts';
import { connect, createProtocol, fetchRun } from './support/protocol.ts';
import { PROJECT, run, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

test('jobs that are sent at the same moment are one statement; one that is there already keeps none of them out', async () => {
  const { jobs, queues, data, runId, query } = await createProtocol();
  const keys = Array.from({ length: 20 }, (_, n) => `run-${n}`);
  await Promise.all([runId, ...keys, 'run-0'].map((key) => jobs.wake(queues.flows, key, data)));

  const sent = await query<{ key: string; xid: string }>(
    `SELECT singleton_key AS key, xmin::text AS xid FROM workflow_queue.job WHERE name = $1 AND singleton_key <> $2`,
    [queues.flows, runId],
  );
  expect(sent.map(({ key }) => key).toSorted()).toEqual(keys.toSorted());
  // The one that was sent twice was moved.
  expect(new Set(sent.filter(({ key }) => key !== 'run-0').map(({ xid }) => xid)).size).toBe(1);
});

test('events are found by their indexes, although their statements were planned when the tables were empty', async () => {
  const protocol = await createProtocol();
  const { lease } = await fetchRun(protocol);
  await protocol.query('VACUUM ANALYZE');
  await using client = await connect(protocol.url);
  await client.query('BEGIN');
  const context = { runId: protocol.runId, specVersion: 2, queueSchema: 'workflow_queue', lease, alone: false };
  const bytes = Buffer.from('');
  const given = { stepName: 'test', input: bytes, payload: bytes, startPayload: bytes, output: bytes };
  await frequentEvents.startRun(client, context, 8);
  for (let n = 0; n < 10; n += 1) {
    const steps = ['first', 'second'].map((name) => ({ ...given, stepId: `${name}-${n}` }));
    await frequentEvents.createSteps(client, context, steps, 1);
    await frequentEvents.startSteps(client, context, steps.slice(1));
    await frequentEvents.completeSteps(client, context, steps);
  }
  await frequentEvents.completeRun(client, context, bytes, bytes);

  const { rows } = await client.query<{ table: string; scans: number; found: number; read: number }>(
    `SELECT relname AS table, seq_scan::integer AS scans, idx_scan::integer AS found, idx_tup_fetch::integer AS read
     FROM pg_stat_xact_user_tables WHERE schemaname LIKE 'workflow%' AND seq_scan + idx_scan > 0`,
  );
  expect(rows.map(({ table }) => table)).toEqual(expect.arrayContaining(['job_common', 'workflow_events']));
  expect(rows.filter(({ scans }) => scans > 0)).toEqual([]);
  // Nothing else of the run than what was asked for.
  const steps = rows.find(({ table }) => table === 'workflow_steps')!;
  expect(steps.read).toBeLessThanOrEqual(steps.found);
});

test('a result that cannot be recorded at the moment keeps no other step from beginning', async () => {
  const app = await createApplication();
  await app.startWorker({ WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '1' });
  const [held = ''] = await app.start('parallelWorkflow', [1, 3_000]);
  await until('its step is executed', async () => (await app.executions()).length === 1);
  await using holder = await connect(app.url);
  await holder.query('BEGIN');
  await holder.query('SELECT FROM workflow_engine.run_progress WHERE run_id = $1 FOR UPDATE', [held]);
  const [other = ''] = await app.start('parallelWorkflow', [1, 0]);

  expect(await app.ended(other)).toEqual({ status: 'completed' });
  const unrecorded = `SELECT FROM workflow_steps WHERE run_id = $1 AND status = 'running'`;
  expect(await app.query(unrecorded, [held])).toHaveLength(1);
  await holder.query('ROLLBACK');
  expect(await app.ended(held)).toEqual({ status: 'completed' });
  expect(await app.executions()).toHaveLength(2);
});

test('the queue can live in another schema', async () => {
  const queue = { WORKFLOW_POSTGRES_QUEUE_SCHEMA: 'jobs_of_mine' };
  const app = await createApplication((url) => ({ WORKFLOW_POSTGRES_URL: url, ...queue }));
  await run(startProgram(`${PROJECT}/setup-db.ts`, [], { env: app.env }));
  await app.startWorker();
  const [runId = ''] = await app.start('parallelWorkflow', [3, 0]);

  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  const jobsIn = (schema: string) => app.query(`SELECT FROM ${schema}.job WHERE singleton_key = $1`, [runId]);
  expect(await jobsIn('jobs_of_mine')).toHaveLength(1);
  expect(await jobsIn('workflow_queue')).toEqual([]);
});
