import { join } from 'node:path';
import { runWorld, stopWorld } from '../../world-config.ts';
import { query, type TestDatabase } from './database.ts';
import { CREATE_EXECUTIONS } from './executions-table.ts';
import { onEnd } from './on-end.ts';
import { PROJECT } from './program.ts';
import { startTestServer, withDatabase } from './test-server.ts';

/** A database for a command of the tests, with the table in which the fixtures write down what they execute. */
export async function createDatabase(): Promise<TestDatabase> {
  const server = await startTestServer();
  onEnd(() => server[Symbol.asyncDispose]());
  const name = `command_${process.pid}`;
  await query(server.url, `CREATE DATABASE ${name} TEMPLATE ${server.template}`);
  onEnd(() => query(server.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  const url = withDatabase(server.url, name);
  await query(url, CREATE_EXECUTIONS);
  return { url, query: (sql, values) => query(url, sql, values) };
}

/** Starts runs from this process, which executes none: a process for each would take longer than the run. */
export async function createStarter({ url }: TestDatabase, fixtures = 'workflows.ts') {
  const workflowFiles = [`tests/fixtures/${fixtures}`, 'workflow-example.ts'].map((file) => join(PROJECT, file));
  onEnd(stopWorld);
  const { workflows } = await runWorld({ connectionString: url, model: 'simulated', worker: false, workflowFiles });
  const { start } = await import('workflow/api');
  return async (workflow: string, args: unknown[]) => (await start(workflows[workflow]!, args)).runId;
}
