/** What a database or a role has been given with SET works, or is named when a process starts. */
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { answerRunStatus, answerStatus } from '../src/cli/status.ts';
import { explainConnection } from '../src/postgres/explain-connection.ts';
import { JoinedPool } from '../src/postgres/joined-pool.ts';
import { createPool } from '../src/postgres/pool.ts';
import { checkDatabase, setUpDatabase } from '../src/postgres/setup.ts';
import { createTestDatabase, nameOf, type TestDatabase } from './support/database.ts';
import { runEverything, withWorker } from './support/world.ts';

const QUEUE = 'workflow_queue';

/** As far as they can be taken. The times are longer than a statement takes that is sent before a session is set up. */
const WORKS: Record<string, string> = {
  statement_timeout: '2s',
  lock_timeout: '1ms',
  idle_in_transaction_session_timeout: '1ms',
  idle_session_timeout: '300ms',
  transaction_timeout: '2s',
  default_transaction_isolation: 'serializable',
  default_transaction_deferrable: 'on',
  DateStyle: 'SQL, DMY',
  IntervalStyle: 'sql_standard',
  bytea_output: 'escape',
  TimeZone: 'Asia/Kathmandu',
  standard_conforming_strings: 'off',
  escape_string_warning: 'on',
  backslash_quote: 'off',
  transform_null_equals: 'on',
  array_nulls: 'off',
  quote_all_identifiers: 'on',
  extra_float_digits: '-15',
  client_encoding: 'LATIN1',
  plan_cache_mode: 'force_generic_plan',
  jit: 'on',
  jit_above_cost: '0',
  debug_parallel_query: 'on',
  enable_indexscan: 'off',
  work_mem: '64kB',
  row_security: 'off',
  session_replication_role: 'replica',
  synchronous_commit: 'off',
  search_path: '',
};

async function set(database: TestDatabase, settings: Record<string, string>): Promise<void> {
  const known = await database.query<{ name: string }>('SELECT lower(name) AS name FROM pg_settings');
  for (const [name, value] of Object.entries(settings)) {
    if (known.every((it) => it.name !== name.toLowerCase())) continue;
    await database.query(`ALTER DATABASE ${nameOf(database)} SET ${name} = '${value}'`);
  }
}

test.each([
  ['whatever a database has set', WORKS],
  [
    'another isolation and other formats',
    { default_transaction_isolation: 'repeatable read', DateStyle: 'German', IntervalStyle: 'iso_8601' },
  ],
])('setup and runs work with %s', async (_, settings) => {
  const database = await createTestDatabase({ setUp: false });
  await set(database, settings);
  await setUpDatabase(database.url, QUEUE);
  const { parts } = await checkDatabase(database.url, QUEUE);
  expect(parts.filter(({ sql }) => sql.length > 0)).toEqual([]);

  await withWorker({ connectionString: database.url, worker: true }, async (world) => {
    const { getRun } = await import('workflow/api');
    const runId = await runEverything(world, 'žluť ok');
    const { createdAt, completedAt } = getRun(runId) as unknown as Record<string, Promise<Date>>;
    for (const time of [await createdAt, await completedAt]) {
      expect(Math.abs(Date.now() - time!.getTime())).toBeLessThan(60_000);
    }
    expect(await answerRunStatus(world, runId)).toMatchObject({ document: { status: 'completed' } });
    expect(await answerStatus(world, 10)).toMatchObject({ document: { runs: [{ runId }] } });
    const { rows } = await world.pool.query<Record<string, string>>(
      `SELECT current_setting('statement_timeout') AS statement, current_setting('synchronous_commit') AS flush,
              current_setting('default_transaction_isolation') AS isolation`,
    );
    expect(rows).toEqual([{ statement: '35s', flush: 'on', isolation: 'read committed' }]);
  });
});

test('world-postgres opens no session of its own, which nobody would have set up', () => {
  const pool = createPool('postgres://127.0.0.1:1/nobody', 1);
  onTestFinished(() => pool.end());
  expect(() => new Client(new JoinedPool(pool).options)).toThrow('no session of its own');
});

test('a database that is read only is named when a process starts, and by setup', async () => {
  const database = await createTestDatabase();
  await set(database, { default_transaction_read_only: 'on' });
  const says = /read only here \(default_transaction_read_only\)\.\n {2}Turn it off for the role: {2}ALTER ROLE/;
  await expect(starts(database)).rejects.toThrow(says);
  await expect(setUpDatabase(database.url, QUEUE)).rejects.toThrow(says);
});

test('a time in which no statement can end is named when a process starts', async () => {
  const database = await createTestDatabase();
  await set(database, { statement_timeout: '1ms' });
  const error = await starts(database).catch((it: unknown) => it);
  expect(explainConnection(error, 'WORKFLOW_POSTGRES_URL')).toMatch(
    /has cancelled a statement: .*\n {2}Raise the statement_timeout of the role\./,
  );
});

function starts({ url }: TestDatabase): Promise<void> {
  return withWorker({ connectionString: url, worker: false }, async () => undefined);
}
