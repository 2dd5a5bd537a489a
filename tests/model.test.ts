import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { simulatedApiUrl, startSimulatedApi } from '../src/model/simulated-api.ts';
import { createApplication } from './support/application.ts';
import { createTestDatabase } from './support/database.ts';
import { PROJECT, run, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

const INDEX = join(PROJECT, 'index.ts');

/** What a user with an API key has in the environment, with the API on loopback. */
const loggedIn = (ANTHROPIC_BASE_URL: string) => ({
  WORKFLOW_MODEL: '',
  ANTHROPIC_BASE_URL,
  ANTHROPIC_API_KEY: 'a-key-of-the-user',
  CLAUDE_CONFIG_DIR: join(PROJECT, '.test/claude-config'),
});

test('a user with a login gets answers from the API that the login is for, and the result says so', async () => {
  const api = await startSimulatedApi();
  onTestFinished(() => api[Symbol.asyncDispose]());
  const database = await createTestDatabase();
  const env = { ...loggedIn(simulatedApiUrl()), WORKFLOW_POSTGRES_URL: database.url };
  const { exitCode, stdout, stderr } = await run(startProgram(INDEX, ['research', '--json'], { env }));

  expect(exitCode).toBe(0);
  expect(stderr).not.toContain('SIMULATED');
  expect(JSON.parse(stdout)).toMatchObject({ runs: [{ model: 'claude', result: { model: 'claude' } }] });
});

test('a refused login fails the run at once, with the remedy', async () => {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    if (request.method === 'POST') requests.push(String(request.headers['x-api-key']));
    response.writeHead(401, { 'content-type': 'application/json' });
    response.end('{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}');
  });
  const database = await createTestDatabase();
  const env = { ...loggedIn(await listen(server)), WORKFLOW_POSTGRES_URL: database.url };
  const { exitCode, stdout } = await run(startProgram(INDEX, ['content', '--json'], { env }));

  expect(exitCode).toBe(1);
  const { runs } = JSON.parse(stdout) as { runs: { status: string; error: string }[] };
  expect(runs[0]).toMatchObject({ status: 'failed', error: expect.stringContaining('npm run claude:login') });
  expect(requests).toEqual(['a-key-of-the-user']);
  expect(stdout).not.toContain('a-key-of-the-user');
});

test('a worker without a login leaves the runs of Claude alone', async () => {
  const database = await createTestDatabase();
  const server = createServer((_, response) => void response.writeHead(529).end());
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const example = startProgram(INDEX, ['research'], { env: { ...env, ...loggedIn(await listen(server)) } });
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

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

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
