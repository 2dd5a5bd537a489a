/** Ids are compared as bytes, whatever the database compares by. */
import type { ClientBase } from 'pg';
import { expect, test } from 'vitest';
import { checkDatabase, setUpDatabase } from '../src/postgres/setup.ts';
import { findForgottenRuns } from '../src/queue/forgotten-runs.ts';
import { createRole, createTestDatabase, type TestDatabase } from './support/database.ts';
import { LITHUANIAN, runChains } from './support/lithuanian.ts';
import { connect } from './support/protocol.ts';
import { withWorker } from './support/world.ts';

const QUEUE = 'workflow_queue';

async function byteOrder({ url }: TestDatabase) {
  const { parts } = await checkDatabase(url, QUEUE);
  return parts.find(({ name }) => name.includes('compared as bytes'))!;
}

test('runs complete in a database that sorts as another language does', async () => {
  const database = await createTestDatabase({ setUp: false, locale: LITHUANIAN });
  await setUpDatabase(database.url, QUEUE);

  expect(await runChains(database.url, { count: 6, steps: 6 })).toEqual([12, 12, 12, 12, 12, 12]);
  expect(await byteOrder(database)).toMatchObject({ found: 'yes', sql: [] });

  // Jobs are found by pg-boss's index, whose order is the database's.
  await using client = await connect(database.url);
  await client.query('SET enable_seqscan = off');
  const plans: string[] = [];
  const explaining = {
    async query(text: string, values: unknown[]) {
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, values);
      plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
      return { rows: [] };
    },
  } as unknown as ClientBase;
  await findForgottenRuns(explaining, 'workflow_', QUEUE);
  expect(plans).toEqual([expect.stringMatching(/Index Cond: .*singleton_key/)]);
  expect(plans[0]).not.toMatch(/Seq Scan on (job|run_progress|workflow_steps)/);
});

test('setup brings a database of before to it: the rows stay, and so do the rights on the views', async () => {
  const database = await createTestDatabase({ setUp: false, locale: LITHUANIAN });
  await setUpDatabase(database.url, QUEUE);
  const reader = await createRole(database);
  // As an earlier version left it, or a later migration of world-postgres will.
  await database.query(`
    INSERT INTO workflow.workflow_runs (id, deployment_id, status, name) VALUES ('wrun_1', 'x', 'completed', 'x');
    GRANT SELECT ON workflow_engine.model_usage_by_run TO ${reader.name};
    ALTER TABLE workflow.workflow_events ALTER COLUMN id TYPE varchar COLLATE "default";
    ALTER TABLE workflow.workflow_runs ALTER COLUMN id TYPE varchar COLLATE "default"`);
  expect((await byteOrder(database)).found).toBe('2 columns are compared as the database compares');
  const started = withWorker({ connectionString: database.url, worker: false }, async () => undefined);
  await expect(started).rejects.toThrow('npm run postgres-world:setup');

  await database.query('CREATE VIEW workflow.of_somebody AS SELECT id FROM workflow.workflow_runs');
  await expect(setUpDatabase(database.url, QUEUE)).rejects.toThrow('of_somebody');
  await database.query('DROP VIEW workflow.of_somebody');
  await setUpDatabase(database.url, QUEUE);

  expect(await byteOrder(database)).toMatchObject({ found: 'yes', sql: [] });
  expect(await database.query('SELECT id FROM workflow.workflow_runs')).toEqual([{ id: 'wrun_1' }]);
  const mayRead = `SELECT has_table_privilege('${reader.name}', 'workflow_engine.model_usage_by_run', 'SELECT') AS may`;
  expect(await database.query(mayRead)).toEqual([{ may: true }]);
});

test.each(['LATIN1', 'SQL_ASCII'])(
  'a database in %s is refused, with the statement that makes another',
  async (encoding) => {
    const { url } = await createTestDatabase({ setUp: false, locale: `ENCODING '${encoding}' LOCALE 'C'` });
    for (const refused of [setUpDatabase, checkDatabase]) {
      await expect(refused(url, QUEUE)).rejects.toThrow(`is encoded in ${encoding}`);
      await expect(refused(url, QUEUE)).rejects.toThrow(`CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`);
    }
  },
);
