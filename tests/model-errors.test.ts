import { expect, test } from 'vitest';
import type { Application } from './support/application.ts';
import { startMessagesApi, type ApiRequest, type Reply } from './support/messages-api.ts';
import { createModelApplication } from './support/model-application.ts';
import type { Question } from './fixtures/model-workflows.ts';

const OK: Reply = { text: 'an answer of five words' };
const NUMBER: Reply = { tool: 'StructuredOutput', input: { number: 7 } };
const status = (code: number, type: string, headers?: Record<string, string>): Reply => ({
  status: code,
  error: { type, message: `boom ${code}` },
  ...(headers && { headers }),
});
const midway = (ending: 'cut' | 'hang' | { type: string; message: string }): Reply => ({
  text: 'one two three four five six',
  paceMs: 50,
  after: 3,
  ending,
});

interface Row {
  name: string;
  /** What the API does, request by request; the last one again and again. */
  replies: Reply[];
  question?: Partial<Question>;
  workflow?: 'askWorkflow' | 'askForNumberWorkflow';
  /** What the run failed with. Undefined: it completed. */
  error?: RegExp;
  requests: number;
  /** The ledger's rows: outcome, and HTTP status if there was one. */
  calls: string[];
  /** From the first request to the second. */
  waitsAtLeastMs?: number;
}

const LOGIN =
  /^Claude refused the login \(HTTP 40[13]; attempt 1, \d+\.\d s after the first began\): .*\n {2}Run: npm run/;

const HOPELESS: Row[] = [
  { name: '401', replies: [status(401, 'authentication_error')], error: LOGIN, requests: 1, calls: ['failed 401'] },
  { name: '403', replies: [status(403, 'permission_error')], error: LOGIN, requests: 1, calls: ['failed 403'] },
  {
    name: '400',
    replies: [status(400, 'invalid_request_error')],
    error: /^Claude refused the request \(HTTP 400; attempt 1, .*boom 400\n {2}The same request fails again/,
    requests: 1,
    calls: ['failed 400'],
  },
  {
    name: '404',
    replies: [status(404, 'not_found_error')],
    error: /^The model is not there \(HTTP 404; attempt 1, .*\n {2}Check its name/,
    // The CLI asks once more without a stream.
    requests: 2,
    calls: ['failed 404'],
  },
  {
    name: '413',
    replies: [status(413, 'request_too_large')],
    error: /^Claude refused the request \(.*attempt 1/,
    requests: 1,
    calls: ['failed 413'],
  },
  {
    name: 'refusal',
    replies: [{ text: 'I would rather', stopReason: 'refusal' }],
    error: /^Claude declined to answer \(attempt 1, [^]*\n {2}Change the prompt/,
    requests: 1,
    calls: ['failed'],
  },
  {
    name: 'missing binary',
    replies: [OK],
    question: { settings: { pathToClaudeCodeExecutable: '/nowhere/claude' } },
    error: /^The Claude Code CLI is missing \(attempt 1, .*\n {2}Run: npm ci/,
    requests: 0,
    calls: ['failed'],
  },
];

const PASSING: Row[] = [
  {
    name: '429 with retry-after',
    replies: [status(429, 'rate_limit_error', { 'retry-after': '4' }), OK],
    requests: 2,
    calls: ['failed 429', 'completed'],
    waitsAtLeastMs: 4_000,
  },
  {
    name: '529 with retry-after',
    replies: [status(529, 'overloaded_error', { 'retry-after': '3' }), OK],
    requests: 2,
    calls: ['failed 529', 'completed'],
    waitsAtLeastMs: 3_000,
  },
  { name: '500', replies: [status(500, 'api_error'), OK], requests: 2, calls: ['failed 500', 'completed'] },
  { name: '503', replies: [status(503, 'api_error'), OK], requests: 2, calls: ['failed 503', 'completed'] },
  {
    name: '529 for ever',
    replies: [status(529, 'overloaded_error')],
    error: /failed after 2 retries: Claude is overloaded \(HTTP 529; attempt 3, \d+\.\d s after the first began\)/,
    requests: 3,
    calls: ['failed 529', 'failed 529', 'failed 529'],
  },
  {
    name: 'a refused connection',
    replies: [OK],
    question: { settings: { env: { ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' } } },
    error: /failed after 2 retries: No answer from Claude \(attempt 3, .*ConnectionRefused/,
    requests: 0,
    calls: ['failed', 'failed', 'failed'],
  },
  { name: 'cut before the answer', replies: ['cut', OK], requests: 2, calls: ['failed', 'completed'] },
  { name: 'cut in the answer', replies: [midway('cut'), OK], requests: 2, calls: ['failed', 'completed'] },
  {
    name: 'an error in the stream',
    replies: [midway({ type: 'overloaded_error', message: 'Overloaded' }), OK],
    requests: 2,
    calls: ['failed 529', 'completed'],
  },
  {
    name: 'a timeout in the answer',
    replies: [midway('hang'), OK],
    question: { timeoutMs: 6_000 },
    requests: 2,
    calls: ['aborted', 'completed'],
  },
  {
    name: 'the wrong shape',
    workflow: 'askForNumberWorkflow',
    replies: [
      ...Array.from({ length: 5 }, (): Reply => ({ tool: 'StructuredOutput', input: { number: 'x' } })),
      NUMBER,
    ],
    requests: 6,
    calls: ['failed', 'completed'],
  },
];

test('what trying again cannot help fails at once, with the remedy', { timeout: 300_000 }, async () => {
  expect(await outcomesOf(HOPELESS)).toEqual(HOPELESS.map(expectedOf));
});

test('what may go away is tried again, not before the server wants it', { timeout: 300_000 }, async () => {
  expect(await outcomesOf(PASSING)).toEqual(PASSING.map(expectedOf));
});

/** What became of a run of each row, on one worker. */
async function outcomesOf(rows: readonly Row[]) {
  const asked = new Map<string, ApiRequest[]>(rows.map(({ name }) => [name, []]));
  const api = await startMessagesApi((request) => {
    const { name, replies } = rows.find((row) => JSON.stringify(request.body.messages).includes(`[${row.name}]`))!;
    const n = asked.get(name)!.push(request);
    return replies[Math.min(n, replies.length) - 1]!;
  });
  const app = await createModelApplication(api);
  await app.startWorker();
  const runIds = await app.startAll(
    ...rows.map(({ name, workflow = 'askWorkflow', question }): [string, unknown[]] => [
      workflow,
      [{ ...question, prompt: `[${name}]` }],
    ]),
  );
  const states: string[] = [];
  for (const runId of runIds) states.push((await app.ended(runId)).status);
  const errors = await app.ask<string>('errors', ...runIds);

  return Promise.all(
    rows.map(async ({ name, waitsAtLeastMs = 0 }, n) => {
      const [first, second] = asked.get(name)!;
      const waitedMs = first && second ? second.arrivedAt - first.arrivedAt : 0;
      return {
        name,
        state: states[n],
        error: errors[n],
        requests: asked.get(name)!.length,
        calls: await callsOf(app, runIds[n]!),
        waitedEnough: waitedMs >= waitsAtLeastMs,
      };
    }),
  );
}

function expectedOf({ name, error, requests, calls }: Row) {
  const state = error ? 'failed' : 'completed';
  return { name, state, error: matching(error ?? /^$/), requests, calls, waitedEnough: true };
}

function matching(pattern: RegExp): unknown {
  return expect.stringMatching(pattern);
}

async function callsOf(app: Application, runId: string): Promise<string[]> {
  const rows = await app.query<{ call: string }>(
    `SELECT concat_ws(' ', outcome, api_status) AS call FROM workflow_engine.model_calls WHERE run_id = $1 ORDER BY started_at`,
    [runId],
  );
  return rows.map(({ call }) => call);
}
