import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ENGINE_VERSION, engineMigrations } from '../src/postgres/migrations.ts';
import { createRole, createTestDatabase, nameOf } from './support/database.ts';
import { PROJECT, run, startProgram } from './support/program.ts';
import { inOneTransaction } from '../src/postgres/setup-plan.ts';
import { getRollbackPlans } from 'pg-boss';

const setUp = (url: string, ...options: string[]) =>
  run(startProgram(join(PROJECT, 'setup-db.ts'), options, { env: { WORKFLOW_POSTGRES_URL: url } }));

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

test('--check says what is missing, ends with 1 and changes nothing; after setup it ends with 0', async () => {
  const database = await createTestDatabase({ setUp: false });
  const before = await setUp(database.url, '--check');
  expect(before.exitCode).toBe(1);
  for (const missing of [
    '✗ @workflow/world-postgres',
    '✗ pg-boss (schema workflow_queue): missing',
    '✗ this project',
  ]) {
    expect(before.stdout).toContain(missing);
  }
  expect(before.stdout).toContain('npm run postgres-world:setup');
  expect(await database.query(`SELECT FROM pg_namespace WHERE nspname LIKE 'workflow%'`)).toEqual([]);

  await setUp(database.url);
  await database.query(`DELETE FROM workflow_engine.migrations WHERE version = ${ENGINE_VERSION}`);
  expect((await setUp(database.url, '--check')).stdout).toContain(
    `✗ this project's tables (schema workflow_engine): version ${ENGINE_VERSION - 1}`,
  );
  await database.query(`INSERT INTO workflow_engine.migrations (version) VALUES (${ENGINE_VERSION})`);
  const after = await setUp(database.url, '--check');
  expect(after.exitCode).toBe(0);
  expect(after.stdout).not.toMatch(/[✗·]/);
});

test('the SQL of --print, run by somebody else, does what setup does', async () => {
  const [printed, made] = await Promise.all([
    createTestDatabase({ setUp: false }),
    createTestDatabase({ setUp: false }),
  ]);
  const { stdout, exitCode } = await setUp(printed.url, '--print');
  expect(exitCode).toBe(0);
  expect(await printed.query(`SELECT FROM pg_namespace WHERE nspname LIKE 'workflow%'`)).toEqual([]);
  await printed.query(stdout);
  await setUp(made.url);

  const columns = `SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema LIKE 'workflow%' OR table_schema = 'pgboss' ORDER BY 1, 2, 3`;
  expect(await printed.query(columns)).toEqual(await made.query(columns));
  expect((await setUp(printed.url, '--check')).exitCode).toBe(0);
  expect((await setUp(printed.url, '--print')).stdout).toBe('-- Nothing is missing.\n');
});

test('setup brings a database of an older version of this project up to date', async () => {
  const database = await createTestDatabase({ setUp: false });
  await setUp(database.url);
  await database.query(`DROP SCHEMA workflow_engine CASCADE; ${engineMigrations(0)[0]}; ${engineMigrations(0)[1]}`);
  for (const statement of engineMigrations(0).slice(2, 4)) await database.query(statement);
  const example = () =>
    run(startProgram(join(PROJECT, 'index.ts'), [], { env: { WORKFLOW_POSTGRES_URL: database.url } }));
  const refused = await example();
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain(`version 1 of ${ENGINE_VERSION}`);
  expect(refused.stderr).toContain('npm run postgres-world:setup');

  expect((await setUp(database.url)).exitCode).toBe(0);
  expect((await setUp(database.url, '--check')).exitCode).toBe(0);
});

test("setup brings a database with an older pg-boss up to date, pg-boss's later indexes included", async () => {
  const [database, made] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  for (const version of [43, 42, 41])
    await database.query(inOneTransaction(getRollbackPlans('workflow_queue', version)));
  const refused = await run(
    startProgram(join(PROJECT, 'index.ts'), ['status'], { env: { WORKFLOW_POSTGRES_URL: database.url } }),
  );
  expect(refused.stderr).toContain('pg-boss (schema workflow_queue): version 40 of 43');
  expect(refused.stderr).toContain('npm run postgres-world:setup');

  expect((await setUp(database.url)).exitCode).toBe(0);
  const indexes = `SELECT indexname FROM pg_indexes WHERE schemaname = 'workflow_queue' ORDER BY 1`;
  expect(await database.query(indexes)).toEqual(await made.query(indexes));
});

test('a database of a newer version is left alone by setup and by the example', async () => {
  const database = await createTestDatabase();
  await database.query('INSERT INTO workflow_engine.migrations (version) VALUES (99)');
  const example = run(startProgram(join(PROJECT, 'index.ts'), [], { env: { WORKFLOW_POSTGRES_URL: database.url } }));
  for (const { exitCode, stderr } of await Promise.all([
    example,
    setUp(database.url),
    setUp(database.url, '--check'),
  ])) {
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/set up by (a )?newer/);
    expect(stderr).toContain('Update the code');
    expect(stderr).not.toContain('    at ');
  }
});

test('a role that owns the database but is no superuser can set it up', async () => {
  const database = await createTestDatabase({ setUp: false });
  const role = await createRole(database);
  await database.query(`ALTER DATABASE ${nameOf(database)} OWNER TO ${role.name}`);
  const { exitCode, stdout, stderr } = await setUp(role.url);

  expect(stderr).toBe('');
  expect(exitCode).toBe(0);
  expect(stdout).toContain('workflow.workflow_runs');
});

test('setup tells a role that may not what it lacks, and with that it can', async () => {
  const database = await createTestDatabase({ setUp: false });
  const role = await createRole(database);
  const refused = await setUp(role.url);
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain(`GRANT CREATE ON DATABASE ${nameOf(database)} TO ${role.name};`);
  expect(refused.stderr).not.toContain('    at ');

  for (const [statement] of refused.stderr.matchAll(/GRANT .*;/g)) await database.query(statement);
  const { exitCode, stdout } = await setUp(role.url);
  expect(exitCode).toBe(0);
  // Only the owner of the database may do this: it is printed.
  expect(stdout).toContain(`ALTER DATABASE ${nameOf(database)} SET search_path = "$user", public, workflow;`);
});

test('a role with nothing but the rights that --check prints runs the example', async () => {
  const database = await createTestDatabase();
  const role = await createRole(database);
  const example = () => run(startProgram(join(PROJECT, 'index.ts'), [], { env: { WORKFLOW_POSTGRES_URL: role.url } }));
  const refused = await example();
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain('npm run postgres-world:setup -- --check');
  expect(refused.stderr).not.toContain('    at ');

  const { stdout } = await setUp(role.url, '--check');
  for (const [statement] of stdout.matchAll(/GRANT .*;/g)) await database.query(statement);
  expect((await setUp(role.url, '--check')).exitCode).toBe(0);
  expect((await example()).exitCode).toBe(0);
});

test('a wrong password is answered with a masked message, without a stack trace', async () => {
  const database = await createTestDatabase({ setUp: false });
  const { exitCode, stderr } = await setUp(Object.assign(new URL(database.url), { password: 'wrong-secret' }).href);

  expect(exitCode).toBe(1);
  expect(stderr).toContain('The user or the password in WORKFLOW_POSTGRES_URL is wrong.');
  expect(stderr).not.toContain('wrong-secret');
  expect(stderr).not.toContain('    at ');
});
