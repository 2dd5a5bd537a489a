import { expect, test } from 'vitest';
import type { CallRecord } from '../src/postgres/model-usage.ts';
import { startMessagesApi, type Reply } from './support/messages-api.ts';
import { createModelApplication } from './support/model-application.ts';
import { PROJECT, run, startProgram } from './support/program.ts';
import { runningClis } from './support/processes.ts';
import { until } from './support/until.ts';
import type { TextChunk } from '../src/streams/run-stream.ts';

const INDEX = `${PROJECT}/index.ts`;
const WORDS = 'one two three four five six seven eight nine ten';
const SLOWLY: Reply = { text: WORDS, paceMs: 100 };

/** So that the words are in the ledger: 39 characters of the first eight are ten tokens. */
const HANGS: Reply = { text: WORDS, paceMs: 20, after: 8, ending: 'hang' };

interface Row {
  execution: number;
  outcome: string | null;
  status: number | null;
  tokensIn: number | null;
  tokensOut: number | null;
  cost: number | null;
  estimated: boolean;
  timed: boolean;
  error: string | null;
}

const ROWS = `SELECT execution, outcome, api_status AS status, input_tokens AS "tokensIn", output_tokens AS "tokensOut",
                     cost_usd::float AS cost, estimated, first_token_ms <= total_ms AS timed, error
              FROM workflow_engine.model_calls ORDER BY started_at`;

test('each attempt of a call has its row, closed in the transaction of the event of its step', async () => {
  const api = await startMessagesApi((_, n) =>
    n === 1 ? { text: WORDS, paceMs: 10, after: 5, ending: 'cut' } : { text: WORDS },
  );
  const app = await createModelApplication(api);
  await app.startWorker();
  const [runId = ''] = await app.start('askWorkflow', [{ prompt: 'count' }]);
  await app.ended(runId);

  const [failed, completed] = await app.query<Row>(ROWS);
  expect(failed).toMatchObject({ execution: 1, outcome: 'failed', timed: true, error: 'No answer from Claude' });
  expect(completed).toMatchObject({ execution: 2, outcome: 'completed', estimated: false, timed: true, error: null });
  expect(completed!.tokensIn).toBeGreaterThan(0);
  expect(completed!.tokensOut).toBeGreaterThan(0);
  expect(completed!.cost).toBeGreaterThan(0);
  const together = await app.query<{ type: string }>(
    `SELECT e.type FROM workflow_engine.model_calls c JOIN workflow_events e ON e.xmin = c.xmin ORDER BY c.started_at`,
  );
  expect(together.map(({ type }) => type)).toEqual(['step_retrying', 'step_completed']);
  const views = await app.query(
    `SELECT workflow_name LIKE '%askWorkflow' AS named, w.runs, r.calls, r.completed, r.failed, r.cost_usd = w.cost_usd AS same
     FROM workflow_engine.model_usage_by_run r JOIN workflow_engine.model_usage_by_workflow w USING (workflow_name)`,
  );
  expect(views).toEqual([{ named: true, runs: 1, calls: 2, completed: 1, failed: 1, same: true }]);
});

test('an attempt whose worker died is lost, which the next one writes down; status shows both', async () => {
  const api = await startMessagesApi((_, n) => (n === 1 ? HANGS : { text: WORDS }));
  const app = await createModelApplication(api);
  const victim = await app.startWorker();
  const [runId = ''] = await app.start('askWorkflow', [{ prompt: 'count' }]);
  await until(
    'it is being answered',
    async () => (await runningClis(victim.pid)).length > 0 && api.requests.length > 0,
  );
  victim.kill('SIGKILL');
  await app.startWorker();
  await app.ended(runId);

  expect(await app.query<Row>(ROWS)).toMatchObject([
    { execution: 1, outcome: 'lost', tokensIn: null },
    { execution: 2, outcome: 'completed' },
  ]);
  const [text, json] = await Promise.all([
    run(startProgram(INDEX, ['status', runId], { env: app.env })),
    run(startProgram(INDEX, ['status', runId, '--json'], { env: app.env })),
  ]);
  expect(text.stdout).toMatch(/ask, execution 1 +sonnet .*✗ lost with its worker\n {2}ask, execution 2 +sonnet .*✓/);
  expect(text.stdout).toContain('2 calls, 1 of them cut off');
  const { calls, usage } = JSON.parse(json.stdout) as { calls: CallRecord[]; usage: object };
  expect(calls.map(({ outcome }) => outcome)).toEqual(['lost', 'completed']);
  expect(usage).toMatchObject({ calls: 2, cutOffCalls: 1, openCalls: 0 });
});

test('what a cancelled call has used is recorded, as far as it is known', async () => {
  const api = await startMessagesApi(() => HANGS);
  const app = await createModelApplication(api);
  const worker = await app.startWorker();
  const [runId = ''] = await app.start('askWorkflow', [{ prompt: 'count' }]);
  const chunks = () => app.query('SELECT FROM workflow_stream_chunks WHERE NOT eof');
  await until('some of it is there', async () => (await chunks()).length > 0);
  await until('the API hangs', async () => (await runningClis(worker.pid)).length === 1);
  await run(startProgram(INDEX, ['cancel', runId], { env: app.env }));

  const rows = await until('its row is closed', async () => {
    const found = await app.query<Row>(ROWS);
    return found[0]?.outcome === 'aborted' && found;
  });
  expect(rows).toMatchObject([{ outcome: 'aborted', estimated: true, cost: null, timed: true }]);
  expect(rows[0]!.tokensIn).toBeGreaterThan(0);
  expect(rows[0]!.tokensOut).toBeGreaterThan(0);
  expect(rows[0]!.error).toMatch(/^run (cancelled|ended)$/);
});

test('a call that takes too long is killed, and made again', async () => {
  const api = await startMessagesApi((_, n) => (n === 1 ? HANGS : { text: WORDS }));
  const app = await createModelApplication(api);
  const worker = await app.startWorker();
  const [runId = ''] = await app.start('askWorkflow', [{ prompt: 'count', timeoutMs: 8_000 }]);
  await until('the first one is killed', async () => api.requests[0]?.hungUp, 60_000);
  expect(await app.ended(runId)).toEqual({ status: 'completed' });

  expect(await app.query<Row>(ROWS)).toMatchObject([
    { outcome: 'aborted', estimated: true, error: expect.stringContaining('The call took too long') },
    { outcome: 'completed' },
  ]);
  expect(await runningClis(worker.pid)).toEqual([]);
});

test('what a reader saw of a failed attempt is superseded, and the last text is the stored one', async () => {
  const api = await startMessagesApi((_, n) =>
    n < 3 ? { ...SLOWLY, after: 6, ending: n === 1 ? 'cut' : { type: 'api_error', message: 'down' } } : SLOWLY,
  );
  const app = await createModelApplication(api);
  await app.startWorker();
  const [runId = ''] = await app.start('askWorkflow', [{ prompt: 'count' }]);

  const chunks = await app.ask<TextChunk>('read', runId);
  const [text] = await app.ask<string>('result', runId);

  const attempts = [1, 2, 3].map((n) => chunks.filter(({ attempt }) => attempt === n));
  for (const attempt of attempts.slice(0, 2)) {
    // The last words may have been on their way when it failed.
    expect(attempt.map((chunk) => chunk.text).join('')).toMatch(/^one two three (four )?(five )?(six )?$/);
    expect(attempt.map((chunk) => chunk.superseded ?? false)).toEqual([...attempt.slice(1).map(() => false), true]);
  }
  expect(attempts[2]!.map((chunk) => chunk.text).join('')).toBe(WORDS);
  expect(text).toBe(WORDS);
});

test('a call that its step has not waited for ends with the step', async () => {
  const api = await startMessagesApi(({ prompt }) => (prompt.includes('slow') ? HANGS : SLOWLY));
  const app = await createModelApplication(api);
  const worker = await app.startWorker();
  const [runId = ''] = await app.start('askInRaceWorkflow', [['slow', 'fast']]);
  expect(await app.ended(runId)).toEqual({ status: 'completed' });

  await until('no CLI is left', async () => (await runningClis(worker.pid)).length === 0, 5_000);
  const rows = await until('both are in the ledger', async () => {
    const found = await app.query<Row>(ROWS);
    return found.every(({ outcome }) => outcome !== null && outcome !== 'lost') && found;
  });
  expect(rows.map(({ outcome }) => outcome).toSorted()).toEqual(['aborted', 'completed']);
  expect(await app.ask('result', runId)).toEqual([WORDS]);
});

test('a model that is asked twice begins two conversations', async () => {
  const api = await startMessagesApi(() => ({ text: WORDS }));
  const app = await createModelApplication(api);
  await app.startWorker();
  const [runId = ''] = await app.start('askTwiceWorkflow', [['the first question', 'the second question']]);
  await app.ended(runId);

  const conversations = api.requests.map(({ body }) => JSON.stringify(body.messages));
  expect(conversations).toHaveLength(2);
  expect(conversations[1]).toContain('the second question');
  expect(conversations[1]).not.toContain('the first question');
  expect(api.requests.map(({ body }) => body.messages.length)).toEqual([1, 1]);
});

test('model, system prompt and provider are changed by one line of a step', async () => {
  const api = await startMessagesApi(() => ({ text: WORDS }));
  const app = await createModelApplication(api);
  await app.startWorker();
  const [runId = ''] = await app.start('ownModelsWorkflow', [api.url]);
  await app.ended(runId);

  expect(await app.ask('result', runId)).toEqual([[WORDS, WORDS, WORDS]]);
  const [model, systemPrompt, provider] = api.requests;
  expect(model!.body.model).toMatch(/opus/);
  expect(JSON.stringify(systemPrompt!.body.system)).toContain('You are a lawyer.');
  expect(provider!.headers).toMatchObject({ 'x-api-key': 'a-key-of-its-own' });
  expect(provider!.headers['user-agent']).not.toContain('claude-cli');
  expect(await app.query<Row>(ROWS)).toMatchObject(
    Array.from({ length: 3 }, () => ({ outcome: 'completed', timed: true })),
  );
});

test('of many calls, one process after the other is started, in the order in which they were asked for', async () => {
  const api = await startMessagesApi(() => SLOWLY);
  const app = await createModelApplication(api, { WORKFLOW_MODEL_SPAWNS: '1' });
  await app.startWorker();
  const [runId = ''] = await app.start('askInParallelWorkflow', [['a', 'b', 'c', 'd', 'e', 'f']]);
  await app.ended(runId);

  const rows = await app.query<{ firstTokenAt: number; totalMs: number }>(
    `SELECT (extract(epoch FROM started_at) * 1000 + first_token_ms)::float AS "firstTokenAt", total_ms AS "totalMs"
     FROM workflow_engine.model_calls ORDER BY started_at`,
  );
  const times = rows.map(({ firstTokenAt }) => firstTokenAt);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(rows).toHaveLength(6);
});
