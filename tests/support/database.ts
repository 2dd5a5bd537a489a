import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { inject, onTestFinished } from 'vitest';
import { createTurns } from '../../src/model/turns.ts';

export interface TestDatabase {
  url: string;
  query<Row extends object>(sql: string, values?: unknown[]): Promise<Row[]>;
}

/**
 * A database for one test, dropped when the test passes and kept for a look when it fails.
 * @param setUp whether it has the schema already
 * @param locale of one without: what it compares texts by
 */
export async function createTestDatabase({ setUp = true, locale = '' } = {}): Promise<TestDatabase> {
  const server = inject('serverUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await query(server, `CREATE DATABASE ${name} TEMPLATE ${setUp ? inject('templateDatabase') : 'template0'} ${locale}`);
  // Setup's, which belongs to the database and does not come with its template.
  if (setUp) await query(server, `ALTER DATABASE ${name} SET search_path = "$user", public, workflow`);
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') console.error(`The database of the failed test is kept: ${name}`);
    else await query(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  });
  const url = Object.assign(new URL(server), { pathname: `/${name}` }).href;
  return { url, query: (sql, values) => query(url, sql, values) };
}

export function nameOf({ url }: TestDatabase): string {
  return new URL(url).pathname.slice(1);
}

/** A role with no rights but those of everybody, and what it owns, dropped with the database. */
export async function createRole(database: TestDatabase): Promise<{ name: string; url: string }> {
  const name = `role_${nameOf(database)}`;
  await database.query(`CREATE ROLE ${name} LOGIN PASSWORD 'secret'`);
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') return;
    await database.query(`ALTER DATABASE ${nameOf(database)} OWNER TO CURRENT_USER`);
    await database.query(`DROP OWNED BY ${name} CASCADE; DROP ROLE ${name}`);
  });
  return { name, url: Object.assign(new URL(database.url), { username: name, password: 'secret' }).href };
}

/** A server has a hundred connections for all: somebody who waits for fifty runs is not to take half of them. */
const connections = createTurns(() => 10);
const never = new AbortController().signal;

export async function query<Row extends object>(url: string, sql: string, values?: unknown[]): Promise<Row[]> {
  const giveBack = await connections.take(never);
  const client = new Client({ connectionString: url });
  // The statement reports it.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<Row>(sql, values)).rows;
  } finally {
    await client.end().catch(() => undefined);
    giveBack();
  }
}
