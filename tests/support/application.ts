import { join } from 'node:path';
import { CREATE_EXECUTIONS } from './executions-table.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { PROJECT, run, startProgram, type Program } from './program.ts';
import { until } from './until.ts';

const PROCESS = join(PROJECT, 'tests/fixtures/process.ts');

/** An application of several processes on one database. */
export interface Application extends TestDatabase {
  env: Record<string, string>;
  startWorker(env?: Record<string, string>): Promise<Program>;
  start(workflow: string, args: unknown[], count?: number): Promise<string[]>;
  /** A run of each, by one process. */
  startAll(...calls: [workflow: string, args: unknown[]][]): Promise<string[]>;
  /** A process that does `process.ts MODE ARGS` and ends; its lines of JSON. */
  ask<T>(mode: string, ...args: string[]): Promise<T[]>;
  ended(runId: string): Promise<{ status: string }>;
  /** How often each step of the runs was executed, by its own account. */
  executions(): Promise<{ stepId: string; pid: number }[]>;
}

/**
 * @param connect the variables by which its processes reach a database, given that one's URL
 * @param database where it is not to be one of the server that all tests share
 */
export async function createApplication(
  connect: (url: string) => Record<string, string> = (url) => ({ WORKFLOW_POSTGRES_URL: url }),
  database?: TestDatabase,
): Promise<Application> {
  database ??= await createTestDatabase();
  await database.query(CREATE_EXECUTIONS);
  const env = connect(database.url);

  const application: Application = {
    ...database,
    env,
    async startWorker(more) {
      const worker = startProgram(PROCESS, ['worker'], { env: { ...env, ...more } });
      await worker.says('"ready":true');
      return worker;
    },
    async start(workflow, args, count = 1) {
      const [runIds = []] = await application.ask<string[]>('start', workflow, JSON.stringify(args), String(count));
      return runIds;
    },
    async startAll(...calls) {
      const [runIds = []] = await application.ask<string[]>('start-all', JSON.stringify(calls));
      return runIds;
    },
    async ask<T>(mode: string, ...args: string[]) {
      const { exitCode, stdout, stderr } = await run(startProgram(PROCESS, [mode, ...args], { env }));
      if (exitCode !== 0) throw new Error(`${mode} ended with ${exitCode}:\n${stderr}`);
      return stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as T);
    },
    ended: (runId) =>
      until(`run ${runId} has ended`, async () => {
        const [found] = await database.query<{ status: string }>(
          `SELECT status FROM workflow_runs WHERE id = $1 AND status NOT IN ('pending', 'running')`,
          [runId],
        );
        return found;
      }),
    executions: () => database.query('SELECT step_id AS "stepId", pid FROM executions ORDER BY at'),
  };
  return application;
}
