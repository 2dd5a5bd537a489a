import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createTestDatabase } from './support/database.ts';
import { PROJECT, run, startProgram } from './support/program.ts';

const setUp = (url: string) =>
  run(startProgram(join(PROJECT, 'setup-db.ts'), [], { env: { WORKFLOW_POSTGRES_URL: url } }));

test('setup prints what exists, hides the password, and can be repeated', async () => {
  const database = await createTestDatabase({ setUp: false });
  const first = await setUp(database.url);
  const second = await setUp(database.url);

  for (const { exitCode, stdout } of [first, second]) {
    expect(exitCode).toBe(0);
    for (const table of [
      'workflow.workflow_runs',
      'workflow_queue.job',
      'workflow_engine.run_progress',
      'pgboss.job',
    ]) {
      expect(stdout).toContain(`  ${table}\n`);
    }
    expect(stdout).not.toContain(new URL(database.url).password);
  }
  expect(second.stdout).toBe(first.stdout);
});

test('after setup, workflow tables need no schema name, and the queue shows as pgboss.job', async () => {
  const database = await createTestDatabase({ setUp: false });
  await setUp(database.url);

  expect(await database.query(`SELECT * FROM workflow_runs WHERE status = 'running'`)).toEqual([]);
  expect(await database.query(`SELECT count(*)::int AS jobs FROM pgboss.job WHERE state = 'created'`)).toEqual([
    { jobs: 0 },
  ]);
});

test('two setups at the same time both succeed', async () => {
  const database = await createTestDatabase({ setUp: false });
  const results = await Promise.all([setUp(database.url), setUp(database.url), setUp(database.url)]);

  expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
});

test("setup refuses where it would drop somebody else's pg-boss, and changes nothing", async () => {
  const database = await createTestDatabase({ setUp: false });
  await database.query('CREATE SCHEMA pgboss');
  await database.query(
    'CREATE TABLE pgboss.job (name text, data jsonb, singleton_key text, retry_limit int, state text)',
  );
  await database.query(`INSERT INTO pgboss.job (name, state) VALUES ('theirs', 'created')`);
  const { exitCode, stderr } = await setUp(database.url);

  expect(exitCode).toBe(1);
  expect(stderr).toContain('another application uses');
  expect(stderr).toContain('ALTER SCHEMA pgboss RENAME TO');
  expect(await database.query('SELECT name FROM pgboss.job')).toEqual([{ name: 'theirs' }]);
  expect(await database.query(`SELECT FROM pg_namespace WHERE nspname LIKE 'workflow%'`)).toEqual([]);
});

test("setup leaves a pgboss schema alone that somebody made after the World's migrations", async () => {
  const database = await createTestDatabase({ setUp: false });
  await setUp(database.url);
  await database.query('DROP SCHEMA pgboss CASCADE');
  await database.query('CREATE SCHEMA pgboss');
  await database.query('CREATE TABLE pgboss.job (name text)');
  const { exitCode } = await setUp(database.url);

  expect(exitCode).toBe(0);
  expect(
    await database.query(`SELECT FROM pg_class WHERE oid = 'pgboss.job'::regclass AND relkind = 'r'`),
  ).toHaveLength(1);
});

test('a role that owns the database but is no superuser can set it up', async () => {
  const database = await createTestDatabase({ setUp: false });
  const name = new URL(database.url).pathname.slice(1);
  const role = `owner_${name}`;
  await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
  await database.query(`ALTER DATABASE ${name} OWNER TO ${role}`);
  const url = Object.assign(new URL(database.url), { username: role, password: 'secret' }).href;
  const { exitCode, stdout, stderr } = await setUp(url);

  expect(stderr).toBe('');
  expect(exitCode).toBe(0);
  expect(stdout).toContain('workflow.workflow_runs');
  await database.query(`ALTER DATABASE ${name} OWNER TO CURRENT_USER`);
  await database.query(`REASSIGN OWNED BY ${role} TO CURRENT_USER`);
  await database.query(`DROP ROLE ${role}`);
});

test('a wrong password is answered with a masked message, without a stack trace', async () => {
  const database = await createTestDatabase({ setUp: false });
  const { exitCode, stderr } = await setUp(Object.assign(new URL(database.url), { password: 'wrong-secret' }).href);

  expect(exitCode).toBe(1);
  expect(stderr).toContain('The password in WORKFLOW_POSTGRES_URL is wrong.');
  expect(stderr).not.toContain('wrong-secret');
  expect(stderr).not.toContain('    at ');
});
