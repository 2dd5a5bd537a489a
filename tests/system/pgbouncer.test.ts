import { join } from 'node:path';
import { Client } from 'pg';
import { expect, inject, onTestFinished, test } from 'vitest';
import { createPool, transaction } from '../../src/postgres/pool.ts';
import { retryTransient } from '../../src/postgres/transient.ts';
import { createApplication, type Application } from '../support/application.ts';
import { createTestDatabase, nameOf } from '../support/database.ts';
import { startPgbouncer } from '../support/pgbouncer.ts';
import { PROJECT, run, startProgram } from '../support/program.ts';
import { runEverything, withWorker } from '../support/world.ts';
import { until } from '../support/until.ts';

const PROCESS = join(PROJECT, 'tests/fixtures/process.ts');
const POLLING = 'through a connection pooler, which passes no notifications on: polling';

async function createPooledApplication({ direct = false } = {}): Promise<Application> {
  const pooled = new URL(await startPgbouncer(inject('serverUrl')));
  return createApplication((url) => ({
    WORKFLOW_POSTGRES_URL: Object.assign(new URL(pooled), { pathname: new URL(url).pathname }).href,
    ...(direct && { WORKFLOW_POSTGRES_DIRECT_URL: url }),
  }));
}

const listeners = (app: Application) =>
  app.query(
    `SELECT FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'postgres-world session'`,
  );

test('runs complete through PgBouncer by polling, which is said at the start', async () => {
  const app = await createPooledApplication();
  const worker = await app.startWorker();
  expect(worker.stderr).toContain(POLLING);
  expect(worker.stderr).toContain('WORKFLOW_POSTGRES_DIRECT_URL');
  expect(await listeners(app)).toEqual([]);

  const [mixed = ''] = await app.start('mixedWorkflow', ['pooled']);
  const runIds = await app.start('parallelWorkflow', [4, 20], 20);
  await until('the run waits for its hook', async () => (await app.query('SELECT FROM workflow_hooks')).length === 1);
  await app.ask('resume', 'hook-pooled', '{"answer":"yes"}');

  for (const { status } of await Promise.all([mixed, ...runIds].map(app.ended))) expect(status).toBe('completed');
  expect(await app.ask('result', mixed)).toMatchObject([{ second: 4, third: 'attempt 3', answer: 'yes' }]);
  expect(await app.executions()).toHaveLength(20 * 4 + 1 + 1 + 3 + 1);
});

test('with WORKFLOW_POSTGRES_DIRECT_URL, notifications come past PgBouncer', async () => {
  const app = await createPooledApplication({ direct: true });
  const worker = await app.startWorker();
  expect(worker.stderr).not.toContain('polling');
  await until('it listens on the server itself', async () => (await listeners(app)).length === 1);

  const [runId = ''] = await app.start('sequenceWorkflow', [3]);

  expect(await app.ended(runId)).toEqual({ status: 'completed' });
});

test('a database can be set up through PgBouncer', async () => {
  const database = await createTestDatabase({ setUp: false });
  const pooled = new URL(await startPgbouncer(inject('serverUrl')));
  const url = Object.assign(pooled, { pathname: new URL(database.url).pathname }).href;
  const setUp = (...args: string[]) =>
    run(startProgram(join(PROJECT, 'setup-db.ts'), args, { env: { WORKFLOW_POSTGRES_URL: url } }));
  // Both at once: the lock is one of the transaction.
  for (const { exitCode } of await Promise.all([setUp(), setUp()])) expect(exitCode).toBe(0);

  expect((await setUp('--check')).exitCode).toBe(0);
});

test('a worker whose WORKFLOW_POSTGRES_DIRECT_URL leads through PgBouncer too says so, and polls', async () => {
  const app = await createPooledApplication();
  const worker = await app.startWorker({ WORKFLOW_POSTGRES_DIRECT_URL: app.env.WORKFLOW_POSTGRES_URL! });

  expect(worker.stderr).toContain('WORKFLOW_POSTGRES_DIRECT_URL brings no notifications');
  expect(await listeners(app)).toEqual([]);
});

test('behind PgBouncer, a run goes on when its worker is killed, and each step is recorded once', async () => {
  const app = await createPooledApplication();
  const workers = await Promise.all([app.startWorker(), app.startWorker()]);
  const [runId = ''] = await app.start('parallelWorkflow', [3, 2_000]);
  const [execution] = await until('all steps are being executed', async () => {
    const executions = await app.executions();
    return executions.length === 3 && executions;
  });
  const victim = workers.find(({ pid }) => pid === execution?.pid);
  victim?.kill('SIGKILL');

  expect(await app.ended(runId)).toEqual({ status: 'completed' });

  const recorded = await app.query(`SELECT correlation_id FROM workflow_events WHERE type = 'step_completed'`);
  expect(recorded).toHaveLength(3);
  expect(new Set((await app.executions()).map(({ pid }) => pid)).size).toBe(2);
});

test('streams through PgBouncer lose and repeat nothing', async () => {
  const words = Array.from({ length: 60 }, (_, n) => `word${n}`);
  const app = await createPooledApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [words, 250]);
  const reader = startProgram(PROCESS, ['read', runId], { env: app.env });

  await reader.says('word3');
  expect(await app.query('SELECT status::text FROM workflow_runs')).toEqual([{ status: 'running' }]);
  expect(await reader.exited).toBe(0);

  const chunks = reader.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { text: string });
  expect(chunks.map(({ text }) => text).join('')).toBe(words.map((word) => `${word} `).join(''));
  expect(chunks.length).toBeGreaterThan(10);
});

test('times are in UTC, whatever time zone another client of the same PgBouncer has', async () => {
  const url = await startPgbouncer(inject('serverUrl'));
  const pool = createPool(url, 3);
  onTestFinished(() => pool.end());
  const others = await Promise.all(Array.from({ length: 3 }, () => new Client({ connectionString: url }).connect()));
  onTestFinished(async () => void (await Promise.all(others.map((other) => other.end()))));
  for (const other of others) await other.query(`SET TIME ZONE 'Asia/Tokyo'`);

  const zones = new Set<string>();
  const look = async () => {
    const { rows } = await pool.query<{ zone: string }>(`SELECT current_setting('TimeZone') AS zone`);
    zones.add(rows[0]!.zone);
  };
  for (let n = 0; n < 50; n += 1) {
    await Promise.all([look(), look(), look(), ...others.map((other) => other.query('SELECT'))]);
  }

  expect([...zones]).toEqual(['UTC']);
});

test('a process that stops in the middle of a transaction does not hold others up, also behind PgBouncer', async () => {
  const app = await createPooledApplication();
  await app.query('CREATE TABLE public.counters (n integer)');
  await app.query('INSERT INTO public.counters VALUES (0)');
  const pool = createPool(app.env.WORKFLOW_POSTGRES_URL!, 2);
  onTestFinished(() => pool.end());
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const { promise: locked, resolve: lock } = Promise.withResolvers<void>();
  const stopped = transaction(pool, async (client) => {
    await client.query('UPDATE public.counters SET n = 100');
    lock();
    await released;
  });
  await locked;
  const counted = () => transaction(pool, (client) => client.query('UPDATE public.counters SET n = n + 1'));
  await retryTransient(counted, 20_000);
  release();

  await expect(stopped).rejects.toThrow('not queryable');
  expect(await app.query('SELECT n FROM public.counters')).toEqual([{ n: 1 }]);
});

test('in session mode, and with settings of the database: what works does, and what does not is named', async () => {
  const pooled = await startPgbouncer(inject('serverUrl'), 'session');
  const createPooledDatabase = async (settings: Record<string, string>) => {
    const database = await createTestDatabase();
    for (const [name, value] of Object.entries(settings))
      await database.query(`ALTER DATABASE ${nameOf(database)} SET ${name} = '${value}'`);
    return Object.assign(new URL(pooled), { pathname: `/${nameOf(database)}` }).href;
  };
  const wrong = {
    default_transaction_isolation: 'serializable',
    DateStyle: 'SQL, DMY',
    extra_float_digits: '-1',
    standard_conforming_strings: 'off',
    statement_timeout: '2s',
    idle_in_transaction_session_timeout: '500ms',
    synchronous_commit: 'off',
  };
  const refusing = { connectionString: await createPooledDatabase(wrong), worker: true };
  const refused = await withWorker(refusing, async () => undefined).catch(String);
  for (const name of Object.keys(wrong))
    expect(refused).toMatch(new RegExp(`  ${name} = .*:  ALTER ROLE \\S+ SET ${name} = '`));

  const connectionString = await createPooledDatabase({
    search_path: '',
    IntervalStyle: 'sql_standard',
    bytea_output: 'escape',
    quote_all_identifiers: 'on',
    plan_cache_mode: 'force_generic_plan',
    jit_above_cost: '0',
    TimeZone: 'Asia/Kathmandu',
    client_encoding: 'LATIN1',
  });
  const logged: string[] = [];
  const log = (line: string) => void logged.push(line);
  await withWorker({ connectionString, worker: true, log }, (world) => runEverything(world, 'žluť'));
  expect(logged.join('\n')).toContain(POLLING);
});
