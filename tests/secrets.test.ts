import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from './support/database.ts';
import { loggedInTo, startMessagesApi } from './support/messages-api.ts';
import { createModelApplication } from './support/model-application.ts';
import { PROJECT, run, startProgram } from './support/program.ts';

const INDEX = join(PROJECT, 'index.ts');

/** One is known because it is in a variable, the other because of how it looks. */
const KEY = 'the-key-of-the-user-0123456789';
const OTHER_KEY = 'sk-ant-api03-0123456789abcdef_-XYZ';

const ECHOES = [
  { status: 400, type: 'invalid_request_error', fails: 'answerObject' },
  { status: 400, type: 'invalid_request_error', fails: 'answerText' },
  // Twice, and tried again; then the run is to end.
  { status: 500, type: 'api_error', fails: 'answerObject', atLast: 400 },
  { status: 401, type: 'authentication_error', fails: 'answerText' },
];

test.each(ECHOES)('an API that answers $fails with $status and the key: no log and no row has it', async (echo) => {
  const error = { type: echo.type, message: `You sent ${KEY} and ${OTHER_KEY}.` };
  const api = await startMessagesApi(({ prompt, body }, n) => {
    const isObject = body.tools?.some(({ name }) => name === 'StructuredOutput') ?? false;
    if (isObject === (echo.fails === 'answerObject'))
      return { status: n > 2 ? (echo.atLast ?? echo.status) : echo.status, error };
    const isTopics = prompt.includes('Extract the key topics');
    const input = isTopics ? { topics: ['none'] } : { score: 0, label: 'neutral', reasoning: 'none' };
    return { tool: 'StructuredOutput', input };
  });
  const database = await createTestDatabase();
  const env = { ...loggedInTo(api, KEY), WORKFLOW_POSTGRES_URL: database.url };
  const args = ['content', '--verbose', '--input', '-'];
  const { exitCode, stdout, stderr } = await run(startProgram(INDEX, args, { env, input: 'Only text.' }));

  expect(exitCode).toBe(1);
  expect(api.requests.every(({ headers }) => headers['x-api-key'] === KEY)).toBe(true);
  expect(stderr).toContain('You sent *** and sk-ant-***.');
  for (const key of [KEY, OTHER_KEY]) {
    expect(stdout + stderr).not.toContain(key);
    expect(await tablesWith(database, key)).toEqual([]);
  }
  // What is there is found: the error that had the key, and the input.
  expect(await tablesWith(database, 'You sent ***')).toContain('workflow.workflow_events');
  expect(await tablesWith(database, 'Only text.')).toContain('workflow.workflow_runs');
});

test('a key that a step gives its call is as secret', async () => {
  const key = 'a-key-in-the-code-0123456789';
  const error = { type: 'authentication_error', message: `You sent ${key}.` };
  const api = await startMessagesApi(() => ({ status: 401, error }));
  const app = await createModelApplication(api);
  const worker = await app.startWorker();
  const settings = { env: { ANTHROPIC_API_KEY: key } };
  const [runId = ''] = await app.start('askWorkflow', [{ prompt: 'Who am I?', settings }]);
  await app.ended(runId);

  expect(api.requests[0]?.headers['x-api-key']).toBe(key);
  expect(worker.stdout + worker.stderr).not.toContain(key);
  expect(await tablesWith(app, 'You sent ***')).toContain('workflow.workflow_steps');
  // Only where the test itself has put it.
  expect(await tablesWith(app, key)).toEqual(await tablesWith(app, 'Who am I?'));
});

/** The tables of a database, of every schema, that have the text in any column, be it as bytes. */
async function tablesWith(database: TestDatabase, text: string): Promise<string[]> {
  const tables = await database.query<{ name: string }>(`
    SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`);
  const found: string[] = [];
  for (const { name } of tables) {
    // A row as text has its bytea columns in hexadecimal digits.
    const sql = `SELECT FROM ${name} row WHERE strpos(row::text, $1) > 0 OR strpos(row::text, $2) > 0 LIMIT 1`;
    const rows = await database.query(sql, [text, Buffer.from(text).toString('hex')]);
    if (rows.length > 0) found.push(name);
  }
  return found;
}
