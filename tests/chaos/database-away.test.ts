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
/** So that steps are in the middle when the outage begins, and end before the lease is in doubt, after 30 s. */
const STEP_MS = 8_000;

const IS_LISTENER = `application_name = 'postgres-world session'`;

test('a server that is restarted, be it by a crash, costs no step, no chunk and no model call', async () => {
  const server = await startStoppableServer(await embeddedPostgres());
  await setUpDatabase(server.url, 'workflow_queue');
  const app = await createApplication(undefined, {
    url: server.url,
    query: (sql, values) => query(server.url, sql, values),
  });
  const scene = await setTheScene(app, 500);
  const example = startProgram(join(PROJECT, 'index.ts'), ['content', '--json'], { env: app.env });
  await until('its report is being written', async () => {
    return (await app.query('SELECT DISTINCT stream_id FROM workflow_stream_chunks')).length === 2;
  });
  for (const how of ['fast', 'immediate'] as const) {
    await server.stop(how);
    await server.start();
    const backAt = Date.now();
    await getsMore(scene.reader);
    console.log(`Server restarted (${how}): the reader goes on ${Date.now() - backAt} ms after it answers`);
  }

  await expectAllWell(app, scene);

  expect(await example.exited).toBe(0);
  expect(JSON.parse(example.stdout)).toMatchObject({
    runs: [{ status: 'completed', usage: { calls: 3, openCalls: 0 } }],
  });
  expectUnharmed(example);
});

test('terminated sessions, be they all of them and again and again, only cost a moment (vercel/workflow #1855)', async () => {
  const app = await createApplication();
  const scene = await setTheScene(app, 200);
  const terminate = (condition: string) =>
    app.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${condition}`,
    );
  expect(await terminate(IS_LISTENER)).toHaveLength(2);
  let slowestMs = 0;
  for (let n = 0; n < 10; n += 1) {
    await terminate('true');
    const terminatedAt = Date.now();
    await getsMore(scene.reader);
    slowestMs = Math.max(slowestMs, Date.now() - terminatedAt);
  }

  await expectAllWell(app, scene);

  console.log(`Every connection terminated, ten times: the reader goes on after at most ${slowestMs} ms`);
});

test('a database that is cut off for more than a minute is waited for, and what was done meanwhile is kept', async () => {
  await Promise.all(
    (['silently', 'with resets'] as const).map(async (how) => {
      const app = await createApplication();
      const proxy = await startProxy(app.url);
      const scene = await setTheScene(app, 100, { WORKFLOW_POSTGRES_URL: proxy.url });
      const { worker, runIds } = scene;

      // The stream and the parallel steps end while nobody can be told; what they made is paid for.
      proxy.cut(how);
      const cutAt = Date.now();
      const cpuBefore = await cpuSeconds(worker.pid);
      await until('the outage is over', () => Date.now() - cutAt > OUTAGE_MS);
      const cores = ((await cpuSeconds(worker.pid)) - cpuBefore) / (OUTAGE_MS / 1_000);
      const lines = worker.stderr.split('\n').length;
      expect(await app.query(`SELECT FROM workflow_runs WHERE status = 'completed'`)).toHaveLength(0);
      proxy.restore();
      const backAt = Date.now();
      const [streaming = '', , sleeping = '', parallel = ''] = runIds;
      await Promise.all([streaming, sleeping, parallel].map(app.ended));
      console.log(
        `Cut off ${how} for ${OUTAGE_MS / 1_000} s: everything is recorded ${Date.now() - backAt} ms later; ${cores.toFixed(3)} cores and ${lines} lines of log meanwhile`,
      );

      expect(cores).toBeLessThan(0.2);
      expect(lines).toBeLessThan(10);
      await expectAllWell(app, scene);
    }),
  );
}, 420_000);

interface Scene {
  worker: Program;
  reader: Program;
  runIds: string[];
}

/** Runs in the middle of everything that there is: parked, sleeping, in steps, in a stream that is being read. */
async function setTheScene(app: Application, wordMs: number, env = app.env): Promise<Scene> {
  const runIds = await app.startAll(
    ['streamingWorkflow', [WORDS, wordMs]],
    ['parkedWorkflow', ['hook-away']],
    ['mixedWithoutHookWorkflow', []],
    ['parallelWorkflow', [2, STEP_MS]],
  );
  const reader = startProgram(join(PROJECT, 'tests/fixtures/process.ts'), ['read', runIds[0]!, '0'], { env });
  await until('the reader is there', async () => {
    return (
      (await app.query(`SELECT FROM pg_stat_activity WHERE ${IS_LISTENER} AND datname = current_database()`)).length ===
      1
    );
  });
  const worker = await app.startWorker(env);
  await until('a run waits for its hook', async () => (await app.query('SELECT FROM workflow_hooks')).length === 1);
  await until('the stream is being read', () => readLines(reader).length > 2);
  await until('the steps are being executed', async () => (await app.executions()).length >= 5);
  return { worker, reader, runIds };
}

/** Until the runs have ended, the hook included; as they would have without an outage. */
async function expectAllWell(app: Application, { worker, reader, runIds }: Scene): Promise<void> {
  await app.ask('resume', 'hook-away', '{}');
  for (const { status } of await Promise.all(runIds.map(app.ended))) expect(status).toBe('completed');
  await expectEveryWord(reader);
  const steps = (await app.executions()).map(({ stepId }) => stepId);
  expect(steps).toHaveLength(new Set(steps).size);
  expectUnharmed(worker, reader);
}

function readLines({ stdout }: Program): { attempt: number; index: number; text: string }[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { attempt: number; index: number; text: string });
}

/** One more chunk than now, unless it has them all. */
async function getsMore(reader: Program): Promise<void> {
  const before = readLines(reader).length;
  await until('the reader gets more', () => {
    const lines = readLines(reader);
    return lines.length > before || lines.at(-1)?.text.includes(WORDS.at(-1)!);
  });
}

/** In one attempt, from the first chunk to the last, each of them once. */
async function expectEveryWord(reader: Program): Promise<void> {
  expect(await reader.exited).toBe(0);
  const chunks = readLines(reader);
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
