import { join } from 'node:path';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { jobChannel } from '../../src/queue/boss.ts';
import { WAKE_CHANNEL } from '../../src/queue/jobs.ts';
import { STREAM_CHANNEL } from '../../src/streams/chunks.ts';
import { createApplication } from '../support/application.ts';
import { createRole } from '../support/database.ts';
import { PROJECT, run, startProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const QUEUE_SCHEMA = 'workflow_queue';

/** As the role, which has no right but to connect. */
async function connectAs(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

test('a role that may only connect holds every lock and floods every channel: work goes on, and is taken over', async () => {
  const app = await createApplication();
  const role = await createRole(app);
  const [holder, waiter, sender] = await Promise.all([1, 2, 3].map(() => connectAs(role.url)));
  await expect(holder!.query('SELECT FROM workflow_engine.run_progress')).rejects.toThrow('permission denied');
  // The sweep's of before, setup's, and those of pg-boss.
  await holder!.query(`SELECT pg_advisory_lock(7205759, hashtext('workflow_')), pg_advisory_lock(7205759403)`);
  for (const key of [
    '',
    'create-queue',
    'job_commondeletion',
    'job_commonfailJobsByTimeout',
    'job_commoncleanupDependencies',
  ]) {
    const pgbossKey = `('x' || encode(sha224((current_database() || '.pgboss.${QUEUE_SCHEMA}${key}')::bytea), 'hex'))::bit(64)::bigint`;
    await holder!.query(`SELECT pg_advisory_lock(${pgbossKey})`);
  }
  const setUp = run(startProgram(join(PROJECT, 'setup-db.ts'), ['--wait', '5'], { env: app.env }));

  const dying = await app.startWorker();
  const [runId = ''] = await app.start('sequenceOfWaitsWorkflow', [3, 3_000]);
  // Of every job that anybody has locked, a shared lock; and an exclusive one is waited for.
  const seen = `SELECT DISTINCT (classid::bigint << 32 | objid::bigint)::text AS key FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND mode = 'ShareLock'`;
  const keys = await until('the job is locked', async () => {
    const { rows } = await sender!.query<{ key: string }>(seen);
    return rows.length > 0 && rows.map(({ key }) => key);
  });
  for (const key of keys) await holder!.query('SELECT pg_try_advisory_lock_shared($1)', [key]);
  waiter!.query('SELECT pg_advisory_lock($1)', [keys[0]]).catch(() => undefined);

  const flows = await app.query<{ name: string }>(`SELECT name FROM workflow_queue.queue`);
  const payloads = ['', 'x'.repeat(7_900), runId, 'wrun_nobody', '\\', ...flows.map(({ name }) => name)];
  const channels = [jobChannel(QUEUE_SCHEMA), WAKE_CHANNEL, STREAM_CHANNEL];
  let storming = true;
  const storm = (async () => {
    while (storming) {
      for (const channel of channels)
        await sender!.query('SELECT pg_notify($1, p || n) FROM unnest($2::text[]) AS p, unnest($3::text[]) AS n', [
          channel,
          payloads,
          ['', ' '],
        ]);
    }
  })();

  const neighbour = await app.startWorker();
  await until('it executes', async () => (await app.executions()).length > 0);
  dying.kill('SIGKILL');
  const killedAt = performance.now();
  await until('another one has taken it over', async () =>
    (await app.executions()).some(({ pid }) => pid === neighbour.pid),
  );
  // The lock of a job keeps it from being missed; its heartbeat lapses all the same.
  expect(performance.now() - killedAt).toBeLessThan(25_000);
  const others = await app.start('sequenceWorkflow', [3], 5);
  for (const other of [...others, runId]) expect(await app.ended(other)).toEqual({ status: 'completed' });
  storming = false;
  await storm;
  expect(process.kill(neighbour.pid, 0)).toBe(true);

  const { exitCode, stderr } = await setUp;
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`of the role "${role.name}"`);
  expect(stderr).not.toContain('    at ');
});
