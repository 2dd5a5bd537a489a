import { expect, test } from 'vitest';
import type { Application } from './support/application.ts';
import { startMessagesApi, type ApiRequest } from './support/messages-api.ts';
import { createModelApplication } from './support/model-application.ts';
import { HOPELESS, PASSING, type Row } from './fixtures/model-failures.ts';

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
