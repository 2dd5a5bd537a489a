import { join } from 'node:path';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { startSimulatedApi } from '../src/model/simulated-api.ts';
import { createApplication } from './support/application.ts';
import { createTestDatabase } from './support/database.ts';
import { loggedInTo, startMessagesApi } from './support/messages-api.ts';
import { PROJECT, run, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

const INDEX = join(PROJECT, 'index.ts');

test('a user with a login gets answers from the API that the login is for, and the result says so', async () => {
  const api = await startSimulatedApi();
  onTestFinished(() => api[Symbol.asyncDispose]());
  const database = await createTestDatabase();
  const env = { ...loggedInTo(api), WORKFLOW_POSTGRES_URL: database.url };
  const { exitCode, stdout, stderr } = await run(startProgram(INDEX, ['research', '--json'], { env }));

  expect(exitCode).toBe(0);
  expect(stderr).not.toContain('SIMULATED');
  expect(JSON.parse(stdout)).toMatchObject({ runs: [{ model: 'claude', result: { model: 'claude' } }] });
});

test('a refused login fails the run at once, with the remedy', async () => {
  const error = { type: 'authentication_error', message: 'invalid x-api-key' };
  const api = await startMessagesApi(() => ({ status: 401, error }));
  const database = await createTestDatabase();
  const env = { ...loggedInTo(api), WORKFLOW_POSTGRES_URL: database.url };
  const { exitCode, stdout } = await run(startProgram(INDEX, ['content', '--json'], { env }));

  expect(exitCode).toBe(1);
  const { runs } = JSON.parse(stdout) as { runs: { status: string; error: string }[] };
  expect(runs[0]).toMatchObject({ status: 'failed', error: expect.stringContaining('npm run claude:login') });
  expect(api.requests.map(({ headers }) => headers['x-api-key'])).toEqual(['a-key-of-the-user']);
  expect(stdout).not.toContain('a-key-of-the-user');
});

test('a worker without a login leaves the runs of Claude alone', async () => {
  const database = await createTestDatabase();
  const error = { type: 'overloaded_error', message: 'Overloaded' };
  const api = await startMessagesApi(() => ({ status: 529, error }));
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const example = startProgram(INDEX, ['research'], { env: { ...env, ...loggedInTo(api) } });
  await example.says('Started multiAgentResearchWorkflow');
  example.kill('SIGINT');
  await example.exited;

  const { exitCode, stderr } = await run(startProgram(INDEX, ['research'], { env }));

  expect(exitCode).toBe(0);
  expect(stderr).toContain('1 unfinished run from before: of other code, or another model.');
  const finished = await database.query<{ simulated: boolean }>(
    `SELECT deployment_id LIKE '%-simulated' AS simulated FROM workflow_runs WHERE status = 'completed'`,
  );
  expect(finished).toEqual([{ simulated: true }]);
});

test('an answer does not wait for the ledger, and is in it afterwards', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('contentAnalysisWorkflow', ['I love the new release.']);
  const outcomes = () =>
    app.query<{ outcome: string | null }>('SELECT outcome FROM workflow_engine.model_calls ORDER BY started_at');
  await until('the report is being written', async () => (await outcomes()).length === 3);

  const blocker = new Client({ connectionString: app.url });
  await blocker.connect();
  await blocker.query('BEGIN; LOCK TABLE workflow_engine.model_calls IN EXCLUSIVE MODE');
  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect((await outcomes())[2]).toEqual({ outcome: null });
  await blocker.end();

  await until('the ledger has its end', async () => (await outcomes())[2]?.outcome === 'completed');
  expect(await outcomes()).toHaveLength(3);
});
