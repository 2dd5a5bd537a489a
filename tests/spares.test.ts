import { existsSync } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import type { Application } from './support/application.ts';
import { startMessagesApi, type ApiRequest, type Reply } from './support/messages-api.ts';
import { createModelApplication } from './support/model-application.ts';
import { areGone, runningClis, type ProcessInfo } from './support/processes.ts';
import type { Program } from './support/program.ts';
import { until } from './support/until.ts';

const NUMBER: Reply = { tool: 'StructuredOutput', input: { number: 1 } };
const answer = ({ body }: ApiRequest): Reply => (body.tools?.length ? NUMBER : { text: 'An answer.' });

test('each call finds its process started already, whatever its schema and its system prompt', async () => {
  const { app, api, worker, asking } = await createSituation((request) => answer(request));
  const questions: [workflow: string, question: object][] = [
    ['askForNumberWorkflow', { prompt: 'the first question' }],
    ['askWorkflow', { prompt: 'the second question', settings: { systemPrompt: 'You are a lawyer.' } }],
    ['askForNumberWorkflow', { prompt: 'the third question' }],
  ];
  const ready: (ProcessInfo | undefined)[] = [undefined];
  for (const [workflow, question] of questions) {
    const [runId = ''] = await app.start(workflow, [question]);
    expect(await app.ended(runId)).toEqual({ status: 'completed' });
    ready.push(await theNextOne(worker, ready));
  }

  // At each request, the process that had been ready was there. Of all that ever were, only the first was not ready.
  for (const n of [1, 2]) expect(asking[n]).toContainEqual(ready[n]);
  const unready = asking.flat().filter((it) => ready.every((other) => other?.pid !== it.pid));
  expect(new Set(unready.map(({ pid }) => pid)).size).toBe(1);
  expect(api.requests.map(({ body }) => body.messages.length)).toEqual([1, 1, 1]);
  expect(api.requests.map(({ prompt }) => /the \w+ question/.exec(prompt)?.[0])).toEqual([
    'the first question',
    'the second question',
    'the third question',
  ]);
  expect(api.requests.map(({ body }) => JSON.stringify(body.system).includes('lawyer'))).toEqual([false, true, false]);
  const calls = await app.query('SELECT outcome, execution FROM workflow_engine.model_calls');
  expect(calls).toEqual(questions.map(() => ({ outcome: 'completed', execution: 1 })));
});

test.skipIf(process.platform !== 'linux').each(['SIGTERM', 'SIGKILL'] as const)(
  'the process that is ready ends with its worker: %s',
  async (signal) => {
    const { app, worker } = await createSituation((request) => answer(request));
    const [runId = ''] = await app.start('askWorkflow', [{ prompt: 'a question' }]);
    await app.ended(runId);
    const ready = await theNextOne(worker, []);
    const directory = await readlink(`/proc/${ready.pid}/cwd`);
    worker.kill(signal);
    await worker.exited;

    await until('it is gone', () => areGone([ready]), 5_000);
    // Of a worker that was killed, the next one removes it.
    if (signal === 'SIGKILL') {
      await app.startWorker();
      const [next = ''] = await app.start('askWorkflow', [{ prompt: 'another question' }]);
      await app.ended(next);
    }
    expect(existsSync(dirname(directory))).toBe(false);
  },
);

test('a call in a process that was ready is killed as any other, when its run is cancelled', async () => {
  const { app, api, worker } = await createSituation((request, n) => (n === 1 ? answer(request) : 'hang'));
  const [first = ''] = await app.start('askWorkflow', [{ prompt: 'a question' }]);
  await app.ended(first);
  const ready = await theNextOne(worker, []);
  const [second = ''] = await app.start('askWorkflow', [{ prompt: 'another question' }]);
  await until('it is asked', () => api.requests.length === 2);
  await app.ask('cancel', second);

  await until('it is gone', () => areGone([ready]), 5_000);
  await until('it hung up', () => api.requests[1]?.hungUp);
});

test('what a process says reaches the step that it was given to', async () => {
  const { app, worker } = await createSituation((request) => answer(request));
  const used: ProcessInfo[] = [];
  for (const prompt of ['a question', 'another question']) {
    const [runId = ''] = await app.start('hearWorkflow', [prompt]);
    await app.ended(runId);
    expect(await app.ask('result', runId)).toEqual([{ heard: true, ours: true }]);
    used.push(await theNextOne(worker, used));
  }
});

/** A worker that keeps processes ready, and an API that looks which ones there are while it is asked. */
async function createSituation(reply: (request: ApiRequest, n: number) => Reply) {
  const asking: ProcessInfo[][] = [];
  let worker: Program | undefined;
  const api = await startMessagesApi(async (request, n) => {
    asking.push(await runningClis(worker!.pid));
    return reply(request, n);
  });
  const app: Application = await createModelApplication(api, { WORKFLOW_MODEL_SPARES: '2' });
  worker = await app.startWorker();
  return { api, app, worker, asking };
}

/** The process that is ready for the next call, when that of the last one is gone. */
function theNextOne(worker: Program, before: readonly (ProcessInfo | undefined)[]): Promise<ProcessInfo> {
  return until('a process is ready', async () => {
    const [ready, ...others] = await runningClis(worker.pid);
    return ready && others.length === 0 && before.every((it) => it?.pid !== ready.pid) && ready;
  });
}
