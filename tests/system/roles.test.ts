import { join } from 'node:path';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createTestDatabase, nameOf, query } from '../support/database.ts';
import { PROJECT, run, startProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const INDEX = join(PROJECT, 'index.ts');

/** `setup --print-roles`, with names that no other test has, and run as psql would. */
async function createRoles(
  database: Awaited<ReturnType<typeof createTestDatabase>>,
  [owner, worker]: [string, string],
) {
  const { stdout, exitCode } = await setUp(database.url, '--print-roles');
  expect(exitCode).toBe(0);
  const sql = stdout.replaceAll('workflow_owner', owner).replaceAll('workflow_worker', worker);
  const existing = (await database.query<{ rolname: string }>('SELECT rolname FROM pg_roles')).map(
    ({ rolname }) => rolname,
  );
  const statements = existing.includes(owner) ? sql.replaceAll(/^CREATE ROLE .*$/gm, '') : sql;
  await database.query(statements);
  await database.query(`ALTER ROLE ${owner} PASSWORD 'secret'; ALTER ROLE ${worker} PASSWORD 'secret'`);
  return [owner, worker].map((username) => Object.assign(new URL(database.url), { username, password: 'secret' }).href);
}

function setUp(url: string, ...args: string[]) {
  return run(startProgram(join(PROJECT, 'setup-db.ts'), args, { env: { WORKFLOW_POSTGRES_URL: url } }));
}

test('under the roles that setup prints, one sets up, the other does everything else, and can change no schema', async () => {
  const database = await createTestDatabase({ setUp: false });
  const roles: [string, string] = [`owner_${nameOf(database)}`, `worker_${nameOf(database)}`];
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') return;
    await database.query(`REASSIGN OWNED BY ${roles.join(', ')} TO CURRENT_USER`);
    for (const role of roles) await database.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
  });
  const [ownerUrl = '', workerUrl = ''] = await createRoles(database, roles);
  const set = await setUp(ownerUrl);
  expect(set.exitCode).toBe(0);
  // Once more, for what is there now.
  await createRoles(database, roles);

  const checked = await setUp(workerUrl, '--check');
  expect(checked.exitCode).toBe(0);
  const env = { WORKFLOW_POSTGRES_URL: workerUrl };
  const worker = startProgram(INDEX, ['worker', '--verbose'], { env });
  await worker.says('Worker: takes the runs');
  const command = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await run(startProgram(INDEX, args, { env }));
    if (exitCode !== 0) throw new Error(`${args.join(' ')} ended with ${exitCode}:\n${stderr}`);
    return stdout;
  };

  const [completed] = (JSON.parse(await command('both', '--json')) as { runs: { runId: string }[] }).runs;
  const [asking] = (JSON.parse(await command('--approve', '--key', 'a', '--json')) as { runs: { runId: string }[] })
    .runs;
  await command('approve', asking!.runId);
  const [other] = (JSON.parse(await command('--approve', '--key', 'b', '--json')) as { runs: { runId: string }[] })
    .runs;
  await command('cancel', other!.runId);
  await command('redrive', other!.runId);
  await command('status');
  await command('attach', completed!.runId);
  await until('three have ended', async () => {
    const ended = `SELECT FROM workflow.workflow_runs WHERE status IN ('completed', 'cancelled')`;
    return (await query<object>(workerUrl, ended)).length === 4;
  });
  await command('prune', '--older-than', '0s');
  const inspect = startProgram(join(PROJECT, 'src/cli/tool.ts'), ['inspect', 'runs', '--json'], { env });
  expect((await run(inspect)).exitCode).toBe(0);
  expect(worker.stderr).not.toMatch(/permission denied|must be owner/);

  const client = new Client({ connectionString: workerUrl });
  await client.connect();
  onTestFinished(() => client.end());
  for (const statement of [
    'CREATE SCHEMA mine',
    'CREATE TABLE public.mine ()',
    'CREATE TEMPORARY TABLE mine ()',
    'CREATE TABLE workflow.mine ()',
    'CREATE FUNCTION workflow_engine.mine() RETURNS void LANGUAGE sql AS $$ $$',
    'CREATE OR REPLACE FUNCTION workflow_engine.ids_after(text, text[]) RETURNS text[] LANGUAGE sql AS $$ SELECT $2 $$',
    'ALTER TABLE workflow.workflow_runs ADD mine text',
    'ALTER TABLE workflow_queue.job DISABLE TRIGGER ALL',
    'DROP TABLE workflow_engine.run_progress',
    'DROP SCHEMA workflow CASCADE',
    'TRUNCATE workflow.workflow_runs',
    'CREATE INDEX ON workflow_queue.job (data)',
    'DELETE FROM workflow_engine.migrations',
    'INSERT INTO workflow_drizzle.workflow_migrations (hash, created_at) VALUES (1, 1)',
    'SELECT * FROM pg_authid',
    `ALTER DATABASE ${nameOf(database)} SET work_mem = '1MB'`,
    'CREATE ROLE mine',
  ]) {
    const error = await client.query(statement).then(
      () => undefined,
      (refusal: { code: string }) => refusal.code,
    );
    expect.soft(error, statement).toBe('42501');
  }
});
