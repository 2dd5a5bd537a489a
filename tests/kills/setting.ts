import { join } from 'node:path';
import { setUpDatabase } from '../../src/postgres/setup.ts';
import { runWorld, stopWorld } from '../../world-config.ts';
import { query, type TestDatabase } from '../support/database.ts';
import { provideServer } from '../support/global-setup.ts';
import { onEnd } from '../support/on-end.ts';
import { PROJECT } from '../support/program.ts';

/** A database for a command, with the table in which the fixtures write down what they execute. */
export async function createDatabase(): Promise<TestDatabase> {
  const server = await provideServer(process.env.TEST_POSTGRES_URL);
  onEnd(() => server[Symbol.asyncDispose]());
  const name = `kills_${process.pid}`;
  await query(server.connectionString, `CREATE DATABASE ${name}`);
  onEnd(() => query(server.connectionString, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  const url = Object.assign(new URL(server.connectionString), { pathname: `/${name}` }).href;
  await setUpDatabase(url, 'workflow_queue');
  await query(url, 'CREATE TABLE executions (run_id text, step_id text, pid integer, at timestamptz DEFAULT now())');
  return { url, query: (sql, values) => query(url, sql, values) };
}

/** Starts runs from this process, which executes none: a process for each would take longer than the run. */
export async function createStarter({ url }: TestDatabase) {
  const workflowFiles = ['tests/fixtures/workflows.ts', 'workflow-example.ts'].map((file) => join(PROJECT, file));
  onEnd(stopWorld);
  const { workflows } = await runWorld({ connectionString: url, model: 'simulated', worker: false, workflowFiles });
  const { start } = await import('workflow/api');
  return async (workflow: string, args: unknown[]) => (await start(workflows[workflow]!, args)).runId;
}
