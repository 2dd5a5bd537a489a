import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, inject } from 'vitest';
import type { WorldConfig } from '../../src/config/config.ts';
import { runWorld, stopWorld } from '../../world-config.ts';
import { query, type TestDatabase } from './database.ts';
import { CREATE_EXECUTIONS } from './executions-table.ts';
import { PROJECT } from './program.ts';

/** What became of a run. */
interface Ended {
  runId: string;
  /** What it returned, if it is completed. */
  result?: unknown;
  /** Why it has failed. */
  reason?: string;
}

export interface OwnWorld extends TestDatabase {
  start(workflow: string, ...args: unknown[]): Promise<string>;
  /** What became of it, in the end. */
  ended(runId: string): Promise<Ended>;
  /** Both. */
  run(workflow: string, ...args: unknown[]): Promise<Ended>;
}

/**
 * A worker in this process, on a database of its own, for all the tests of a file: many cases need no process each,
 * and the values of a run's arguments and result are real ones, not JSON. Call it in `beforeAll`.
 */
export async function openOwnWorld(fixture: string, options: Partial<WorldConfig> = {}): Promise<OwnWorld> {
  const server = inject('serverUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await query(server, `CREATE DATABASE ${name} TEMPLATE ${inject('templateDatabase')}`);
  await query(server, `ALTER DATABASE ${name} SET search_path = "$user", public, workflow`);
  const url = Object.assign(new URL(server), { pathname: `/${name}` }).href;
  afterAll(async () => {
    await stopWorld();
    await query(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  });
  await query(url, CREATE_EXECUTIONS);
  // Of the fixtures' steps.
  process.env.WORKFLOW_POSTGRES_URL = url;
  const workflowFiles = [join(PROJECT, 'tests/fixtures', fixture)];
  const { workflows } = await runWorld({ connectionString: url, model: 'simulated', workflowFiles, ...options });
  const { getRun, start } = await import('workflow/api');

  const begin = async (workflow: string, ...args: unknown[]) => (await start(workflows[workflow]!, args)).runId;
  const ended = async (runId: string): Promise<Ended> => {
    try {
      return { runId, result: await getRun(runId).returnValue };
    } catch (error) {
      const { cause } = error as { cause?: Error };
      return { runId, reason: cause?.message ?? String(error) };
    }
  };
  return {
    url,
    query: (sql, values) => query(url, sql, values),
    start: begin,
    ended,
    run: async (workflow, ...args) => ended(await begin(workflow, ...args)),
  };
}
