/** What shares a statement, or a slot, with others. */
import { expect, test } from 'vitest';
import { createApplication } from './support/application.ts';
import { connect, createProtocol } from './support/protocol.ts';
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

test('a result that cannot be recorded at the moment keeps no other step from beginning', async () => {
  const app = await createApplication();
  await app.startWorker({ WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '1' });
  const [held = ''] = await app.start('parallelWorkflow', [1, 500]);
  await until('its step is executed', async () => (await app.executions()).length === 1);
  await using holder = await connect(app.url);
  await holder.query('BEGIN');
  await holder.query('SELECT FROM workflow_engine.run_progress WHERE run_id = $1 FOR UPDATE', [held]);
  const [other = ''] = await app.start('parallelWorkflow', [1, 0]);

  expect(await app.ended(other)).toEqual({ status: 'completed' });
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
