import { join } from 'node:path';
import { mkdir } from 'node:fs/promises';
import type { TestProject } from 'vitest/node';
import { joinEmbeddedServer } from '../../src/postgres/embedded/server.ts';
import { setUpDatabase } from '../../src/postgres/setup.ts';
import { query } from './database.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A server for tests only. */
    serverUrl: string;
    /** A database that was set up, to make others from. */
    templateDatabase: string;
  }
}

/** One real PostgreSQL for all tests, beside the one of the examples: that of TEST_POSTGRES_URL (a superuser's), or an embedded one. */
export default async function setup(project: TestProject) {
  const server = await provideServer(process.env.TEST_POSTGRES_URL);
  const templateDatabase = `template_${process.pid}`;
  await query(server.connectionString, `CREATE DATABASE ${templateDatabase}`);
  await setUpDatabase(withDatabase(server.connectionString, templateDatabase), 'workflow_queue');
  project.provide('serverUrl', server.connectionString);
  project.provide('templateDatabase', templateDatabase);

  return async () => {
    await query(server.connectionString, `DROP DATABASE IF EXISTS ${templateDatabase} WITH (FORCE)`);
    await server[Symbol.asyncDispose]();
  };
}

/** @param url of a superuser; undefined: an embedded server of the tests' own */
export async function provideServer(url: string | undefined): Promise<AsyncDisposable & { connectionString: string }> {
  if (url) return { connectionString: url, [Symbol.asyncDispose]: async () => undefined };
  const directory = join(import.meta.dirname, '../../.test');
  await mkdir(directory, { recursive: true });
  return joinEmbeddedServer(directory);
}

function withDatabase(url: string, database: string): string {
  return Object.assign(new URL(url), { pathname: `/${database}` }).href;
}
