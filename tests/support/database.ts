import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { inject, onTestFinished } from 'vitest';

export interface TestDatabase {
  url: string;
  query<Row extends object>(sql: string, values?: unknown[]): Promise<Row[]>;
}

/**
 * A database for one test, dropped when the test passes and kept for a look when it fails.
 * @param setUp whether it has the schema already
 */
export async function createTestDatabase({ setUp = true } = {}): Promise<TestDatabase> {
  const server = inject('serverUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await query(server, `CREATE DATABASE ${name} TEMPLATE ${setUp ? inject('templateDatabase') : 'template0'}`);
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') console.error(`The database of the failed test is kept: ${name}`);
    else await query(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  });
  const url = Object.assign(new URL(server), { pathname: `/${name}` }).href;
  return { url, query: (sql, values) => query(url, sql, values) };
}

export async function query<Row extends object>(url: string, sql: string, values?: unknown[]): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql, values)).rows;
  } finally {
    await client.end();
  }
}
