import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { joinEmbeddedServer } from '../../src/postgres/embedded/server.ts';
import { setUpDatabase } from '../../src/postgres/setup.ts';
import { query } from './database.ts';

export interface TestServer extends AsyncDisposable {
  /** Of a superuser. */
  url: string;
  /** A database that was set up, to make others from. */
  template: string;
}

/** One real PostgreSQL for all tests, beside the one of the examples: that of TEST_POSTGRES_URL (a superuser's), or an embedded one. */
export async function startTestServer(): Promise<TestServer> {
  const server = await provideServer(process.env.TEST_POSTGRES_URL);
  const url = server.connectionString;
  const template = `template_${process.pid}`;
  const execute = (sql: string) => query(url, sql);
  await execute(`CREATE DATABASE ${template}`);
  await setUpDatabase(withDatabase(url, template), 'workflow_queue');
  return {
    url,
    template,
    async [Symbol.asyncDispose]() {
      await execute(`DROP DATABASE IF EXISTS ${template} WITH (FORCE)`);
      await server[Symbol.asyncDispose]();
    },
  };
}

export function withDatabase(url: string, database: string): string {
  return Object.assign(new URL(url), { pathname: `/${database}` }).href;
}

async function provideServer(url: string | undefined): Promise<AsyncDisposable & { connectionString: string }> {
  if (url) return { connectionString: url, [Symbol.asyncDispose]: async () => undefined };
  const directory = join(import.meta.dirname, '../../.test');
  await mkdir(directory, { recursive: true });
  // On a port, for the tests that put a proxy before it, or another client.
  const server = await joinEmbeddedServer(directory, { onPort: true });
  return Object.assign(server, { connectionString: server.connectionString.replace(/\?.*/, '') });
}
