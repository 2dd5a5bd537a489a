import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startSimulatedApi } from '../src/model/simulated-api.ts';
import { createTestDatabase } from './support/database.ts';
import { loggedInTo, startMessagesApi } from './support/messages-api.ts';
import { PROJECT, run, startProgram } from './support/program.ts';

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
