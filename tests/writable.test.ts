/** The runtime's own streams, as its documentation and the AI SDK's routes write them. */
import { getDeserializeStream } from '@workflow/core/serialization';
import type { World } from '@workflow/world';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { getCurrent } from '../src/runtime/current-world.ts';
import { nameOfStream } from '../src/streams/run-stream.ts';
import { createApplication, type Application } from './support/application.ts';
import { openWorld } from './support/in-step.ts';
import { startProxy } from './support/proxy.ts';
import { until } from './support/until.ts';
import type { Shape } from './fixtures/stream-shapes.ts';

const environment = (url: string) => ({
  WORKFLOW_POSTGRES_URL: url,
  TEST_WORKFLOWS: 'stream-workflows.ts',
  WORKFLOW_POSTGRES_MAX_POOL_SIZE: '40',
});
/** A chunk is plain data. */
const NO_REVIVERS = {} as Parameters<typeof getDeserializeStream>[0];

const words = (name: string) => ['one', 'two', 'three'].map((word) => `${name} ${word}`);

interface Expected {
  chunks: string[];
  ended: boolean;
  result?: string;
  namespace?: string;
}

const SHAPES: Record<Shape, Expected> = {
  closed: { chunks: words('closed'), ended: true },
  'not awaited': { chunks: Array.from({ length: 300 }, (_, n) => `not awaited ${n}`), ended: true },
  released: { chunks: words('released'), ended: false },
  'left open': { chunks: words('left open'), ended: false },
  'one writer each': { chunks: words('one writer each'), ended: true },
  namespaced: { chunks: words('namespaced'), ended: true, namespace: 'other' },
  piped: { chunks: words('piped'), ended: true },
  'piped and left open': { chunks: words('piped and left open'), ended: false },
  'piped, and the source fails': {
    chunks: words('piped, and the source fails'),
    ended: false,
    result: 'caught: no more words',
  },
  'closed and failed': { chunks: words('closed'), ended: true, result: 'caught: closed, and failed' },
  'left open and failed': { chunks: words('left open'), ended: false, result: 'caught: left open, and failed' },
  'tried again': { chunks: [...words('attempt 1'), ...words('attempt 2')], ended: true },
  'that no table can hold': { chunks: [], ended: false, result: expect.stringMatching(/^caught: What the step wrote/) },
};

test('whatever a step has written, and however, is committed before it is said how the step ended', async () => {
  const app = await createApplication(environment);
  await app.startWorker();
  const names = Object.keys(SHAPES) as Shape[];
  const hold = await holdUpStreams(app);
  const runIds = await app.startAll(...names.map((shape): [string, unknown[]] => ['writingWorkflow', [shape]]), [
    'argumentWorkflow',
    [],
  ]);
  await until('every function has ended', async () => (await app.executions()).length === runIds.length);
  // Who waits for no stream is done by now, though it begins last.
  const [plain = ''] = await app.start('plainWorkflow', []);
  await app.ended(plain);

  expect(
    await app.query(`SELECT FROM workflow_events WHERE type ~ '^step_(completed|failed|retrying)' AND run_id <> $1`, [
      plain,
    ]),
  ).toEqual([]);
  await hold.end();

  await Promise.all(runIds.map(app.ended));
  const world = await openWorld(app.url);
  const read = (runId: string, namespace?: string) => readStream(world, runId, namespace);
  const results = await app.ask('result', ...runIds.slice(0, names.length));
  for (const [n, shape] of names.entries()) {
    const { chunks, ended, result = shape, namespace } = SHAPES[shape];
    expect([shape, await read(runIds[n]!, namespace)]).toEqual([shape, { chunks, ended }]);
    expect(results[n]).toEqual(result);
  }
  const given = runIds.at(-1)!;
  expect(await read(given)).toEqual({ chunks: words('argument'), ended: true });
  expect(await read(given, 'other')).toEqual({ chunks: ['left open'], ended: false });
});

test('what a step asks of the World while the database is away waits for it, and is no attempt', async () => {
  const app = await createApplication(environment);
  const proxy = await startProxy(app.url);
  await app.startWorker({ WORKFLOW_POSTGRES_URL: proxy.url, TEST_EXECUTIONS_URL: app.url });
  const [waiting = '', cancelled = '', ended = ''] = await app.startAll(
    ['waitingWorkflow', ['waiting']],
    ['waitingWorkflow', ['cancelled']],
    ['writingWorkflow', ['closed']],
  );
  await app.ended(ended);
  await until('both wait', async () => (await app.query('SELECT FROM workflow_hooks')).length === 2);
  const names = ['start', 'resume a hook', 'look at a run', 'wait for a run', 'cancel', 'read', 'write'] as const;
  const others = { waiting: 'waiting', cancelled, ended };
  const [asking = ''] = await app.start('askingWorkflow', [names, others]);
  await until('they are about to ask', async () => (await app.executions()).length === 1 + names.length);
  const cutAt = Date.now();
  proxy.cut('with resets');
  await until('they have been waiting for a while', () => Date.now() - cutAt > 6_000);
  proxy.restore();

  const [[started, resumed, ...answers] = []] = await app.ask<unknown[]>('result', asking);
  expect(answers).toEqual(['completed', 'closed', null, words('closed'), null]);
  expect(resumed).toBe(waiting);
  expect((await app.ended(waiting)).status).toBe('completed');
  expect((await app.ended(cancelled)).status).toBe('cancelled');
  expect((await app.ended(started as string)).status).toBe('completed');
  const world = await openWorld(app.url);
  expect(await readStream(world, asking)).toEqual({ chunks: Array(30).fill('x'.repeat(100_000)), ended: true });
  // Each was executed once, the one that was started included.
  expect(await app.executions()).toHaveLength(2 + names.length);
  expect(await app.query(`SELECT FROM workflow_events WHERE type IN ('step_retrying', 'step_failed')`)).toEqual([]);
}, 120_000);

/** To its end, or that of its run. */
async function readStream(world: World, runId: string, namespace?: string) {
  const name = nameOfStream(runId, namespace);
  const bytes = await world.readFromStream(name);
  const chunks: unknown[] = [];
  for await (const chunk of bytes.pipeThrough(getDeserializeStream(NO_REVIVERS, undefined))) chunks.push(chunk);
  const { rowCount } = await getCurrent()!.pool.query(
    'SELECT FROM workflow.workflow_stream_chunks WHERE stream_id = $1 AND eof',
    [name],
  );
  return { chunks, ended: rowCount === 1 };
}

/** Nobody can write to a stream until it is ended. */
async function holdUpStreams({ url }: Application): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query('BEGIN; LOCK TABLE workflow.workflow_stream_chunks IN EXCLUSIVE MODE');
  return client;
}
