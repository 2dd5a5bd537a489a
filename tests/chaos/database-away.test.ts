import { join } from 'node:path';
import { expect, test } from 'vitest';
import { setUpDatabase } from '../../src/postgres/setup.ts';
import { createApplication, type Application } from '../support/application.ts';
import { query } from '../support/database.ts';
import { embeddedPostgres } from '../support/postgres-binaries.ts';
import { PROJECT, startProgram, type Program } from '../support/program.ts';
import { startProxy } from '../support/proxy.ts';
import { cpuSeconds } from '../support/resources.ts';
import { startStoppableServer } from '../support/server.ts';
import { until } from '../support/until.ts';

const WORDS = Array.from({ length: 60 }, (_, n) => `word${n}`);
/** More than a minute, for which transactions are tried again. */
const OUTAGE_MS = 75_000;

test('a server that is restarted, be it by a crash, costs no step, no chunk and no model call', async () => {
  const server = await startStoppableServer(await embeddedPostgres());
  await setUpDatabase(server.url, 'workflow_queue');
  const app = await createApplication(undefined, {
    url: server.url,
    query: (sql, values) => query(server.url, sql, values),
  });
  const worker = await app.startWorker();
  const example = startProgram(join(PROJECT, 'index.ts'), ['content', '--json'], { env: app.env });
  const runs = await startOneOfEach(app, 150);
  const reader = startReader(app, runs.streaming);
  for (const how of ['fast', 'immediate'] as const) {
    const before = (await readLines(reader)).length;
    await until('the reader gets more', async () => (await readLines(reader)).length > before + 5);
    await server.stop(how);
    await server.start();
    const backAt = Date.now();
    await until('the reader gets more', async () => (await readLines(reader)).length > before + 10);
    console.log(`Server restarted (${how}): the reader goes on ${Date.now() - backAt} ms after it answers`);
  }
  await app.ask('resume', 'hook-away', '{}');

  for (const { status } of await Promise.all(Object.values(runs).map(app.ended))) expect(status).toBe('completed');

  await expectNothingRepeated(app);
  await expectEveryWord(reader);
  expectUnharmed(worker, reader);
  expect(await example.exited).toBe(0);
  expect(JSON.parse(example.stdout)).toMatchObject({ runs: [{ status: 'completed', usage: { calls: 3, openCalls: 0 } }] });
  expectUnharmed(example);
});

test('terminated sessions, be they all of them and again and again, only cost a moment', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const runs = await startOneOfEach(app, 100);
  const reader = startReader(app, runs.streaming);
  await until('the stream is being read', async () => (await readLines(reader)).length > 2);
  const terminate = (condition: string) =>
    app.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${condition}`,
    );
  expect(await terminate(`application_name = 'postgres-world listener'`)).toHaveLength(2);
  for (let n = 0; n < 10; n += 1) {
    const before = (await readLines(reader)).length;
    await terminate('true');
    await until('the reader gets more', async () => (await readLines(reader)).length > before || before > WORDS.length - 3);
  }
  const terminatedAt = Date.now();
  await app.ask('resume', 'hook-away', '{}');

  for (const { status } of await Promise.all(Object.values(runs).map(app.ended))) expect(status).toBe('completed');

  console.log(`Every connection terminated ten times: all runs ended ${Date.now() - terminatedAt} ms later`);
  await expectNothingRepeated(app);
  await expectEveryWord(reader);
  expectUnharmed(worker, reader);
});

test.each(['silently', 'with resets'] as const)(
  'a database that is cut off %s for more than a minute is waited for, and what was done meanwhile is kept',
  async (how) => {
    const app = await createApplication();
    const proxy = await startProxy(app.url);
    const env = { WORKFLOW_POSTGRES_URL: proxy.url };
    const worker = await app.startWorker(env);
    const runs = await startOneOfEach(app, 100);
    // Its steps end while nobody can be told; their results are paid for.
    const [paid = ''] = await app.start('parallelWorkflow', [2, 4_000]);
    const reader = startReader(app, runs.streaming, env);
    await until('the stream is being read', async () => (await readLines(reader)).length > 2);
    await until('its steps are being executed', async () => {
      return (await app.query('SELECT FROM executions WHERE run_id = $1', [paid])).length === 2;
    });

    proxy.cut(how);
    const cutAt = Date.now();
    const cpuBefore = await cpuSeconds(worker.pid);
    await until('the outage is over', () => Date.now() - cutAt > OUTAGE_MS);
    const cores = ((await cpuSeconds(worker.pid)) - cpuBefore) / (OUTAGE_MS / 1_000);
    proxy.restore();
    const backAt = Date.now();
    await app.ended(paid);
    const paidMs = Date.now() - backAt;
    await app.ask('resume', 'hook-away', '{}');
    for (const { status } of await Promise.all(Object.values(runs).map(app.ended))) expect(status).toBe('completed');

    console.log(
      `Cut off ${how} for ${OUTAGE_MS / 1_000} s: what was paid for is recorded after ${paidMs} ms, all runs ended after ${Date.now() - backAt} ms; ${cores.toFixed(3)} cores meanwhile, ${worker.stderr.split('\n').length} lines logged`,
    );
    expect(cores).toBeLessThan(0.2);
    await expectNothingRepeated(app);
    await expectEveryWord(reader);
    expectUnharmed(worker, reader);
  },
);

type Runs = Record<'parked' | 'sleeping' | 'parallel' | 'streaming', string>;

/** Runs in the middle of everything that there is. */
async function startOneOfEach(app: Application, wordMs: number): Promise<Runs> {
  const [parked = ''] = await app.start('parkedWorkflow', ['hook-away']);
  await until('the run waits for its hook', async () => (await app.query('SELECT FROM workflow_hooks')).length === 1);
  const [sleeping = ''] = await app.start('mixedWithoutHookWorkflow', []);
  const [parallel = ''] = await app.start('parallelWorkflow', [2, 3_000]);
  const [streaming = ''] = await app.start('streamingWorkflow', [WORDS, wordMs]);
  return { parked, sleeping, parallel, streaming };
}

function startReader(app: Application, runId: string, env = app.env): Program {
  return startProgram(join(PROJECT, 'tests/fixtures/process.ts'), ['read', runId, '0'], { env });
}

async function readLines({ stdout }: Program): Promise<{ attempt: number; index: number; text: string }[]> {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { attempt: number; index: number; text: string });
}

async function expectNothingRepeated(app: Application): Promise<void> {
  const steps = (await app.executions()).map(({ stepId }) => stepId);
  expect(steps).toHaveLength(new Set(steps).size);
}

/** In one attempt, from the first chunk to the last, each of them once. */
async function expectEveryWord(reader: Program): Promise<void> {
  expect(await reader.exited).toBe(0);
  const chunks = await readLines(reader);
  expect(chunks.map(({ index }) => index)).toEqual(chunks.map((_, n) => n));
  expect(new Set(chunks.map(({ attempt }) => attempt))).toEqual(new Set([1]));
  expect(chunks.map(({ text }) => text).join('')).toBe(WORDS.map((word) => `${word} `).join(''));
}

/** No stack trace, no flood of lines, and still the same process. */
function expectUnharmed(...programs: Program[]): void {
  for (const { stderr } of programs) {
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stderr.split('\n').length).toBeLessThan(100);
  }
}
