import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createPool } from '../src/postgres/pool.ts';
import { nameOfStream, type RunStream } from '../src/streams/run-stream.ts';
import { shareReads } from '../src/streams/shared-reads.ts';
import { createApplication, type Application } from './support/application.ts';
import { attach, expectEveryWord, shownChunks, shownEnd, TEXT, textOf, WORDS } from './support/attached.ts';
import { createTestDatabase } from './support/database.ts';
import { heldUp, holdUp } from './support/hold-up.ts';
import { inStep, openWorld } from './support/in-step.ts';
import { PROJECT, startProgram, type Program } from './support/program.ts';
import { until } from './support/until.ts';

const CONNECTIONS = `FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'postgres-world%'`;
const LISTENERS = `${CONNECTIONS} AND application_name LIKE '%session'`;

test('a reader that loses its LISTEN session again and again loses and repeats nothing', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 150]);
  const reader = attach(app, runId, '--json');
  for (const word of ['word3', 'word10', 'word17']) {
    await reader.says(word);
    expect(await app.query(`SELECT pg_terminate_backend(pid) ${LISTENERS}`)).not.toEqual([]);
    await until('it listens again', async () => (await listeners(app)) === 2);
  }

  expect(await reader.exited).toBe(0);

  expectEveryWord(reader);
});

test('without LISTEN, it polls', async () => {
  // A direct URL that leads to another database: no notification comes through.
  const elsewhere = await createTestDatabase();
  const app = await createApplication((url) => ({
    WORKFLOW_POSTGRES_URL: url,
    WORKFLOW_POSTGRES_DIRECT_URL: elsewhere.url,
  }));
  await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 250]);
  const reader = attach(app, runId, '--json');
  await reader.says('word3');
  expect(await app.query('SELECT status::text FROM workflow_runs')).toEqual([{ status: 'running' }]);
  expect(await listeners(app)).toBe(0);

  expect(await reader.exited).toBe(0);

  expect(reader.stderr).toContain('brings no notifications: polling');
  expectEveryWord(reader);
  expect(shownChunks(reader).length).toBeGreaterThan(10);
});

test('twenty readers of a stream in one process share its connections', async () => {
  const app = await createApplication((url) => ({ WORKFLOW_POSTGRES_URL: url, WORKFLOW_POSTGRES_MAX_POOL_SIZE: '3' }));
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 100]);
  const readers = startProgram(join(PROJECT, 'tests/fixtures/process.ts'), ['read-often', runId, '20'], {
    env: app.env,
  });
  await until('it is there', async () => (await listeners(app)) === 1);
  await app.startWorker();
  let peak = 0;
  await until('the run has ended', async () => {
    peak = Math.max(peak, (await app.query(`SELECT ${CONNECTIONS}`)).length);
    return (await app.query(`SELECT FROM workflow_runs WHERE status = 'completed'`)).length === 1;
  });

  expect(await readers.exited).toBe(0);

  // The worker's and the readers': a pool of 3, and a session to listen in. Those that the pools have
  // replaced, after 10 s without work, may still be ending.
  expect(peak).toBeLessThanOrEqual(2 * (3 + 1) + 3);
  expect(readers.stderr).toBe('');
  const seen = readers.stdout.trim().split('\n');
  expect(seen).toHaveLength(20);
  expect(new Set(seen).size).toBe(1);
  expect(textOf(JSON.parse(seen[0]!) as { text: string }[])).toBe(TEXT);
});

test('readers that are woken together ask once, and nobody joins a statement that was sent', async () => {
  const app = await createTestDatabase();
  const pool = createPool(app.url, 3);
  onTestFinished(() => pool.end());
  let statements = 0;
  pool.on('acquire', () => (statements += 1));
  const { read } = shareReads(pool);
  const stream = nameOfStream('wrun_01ARZ3NDEKTSV4RRFFQ69G5FAV');
  const release = await holdUp(app, 'workflow_stream_chunks', 'ACCESS EXCLUSIVE');

  const together = Array.from({ length: 20 }, () => read(stream, 0));
  await until('it was sent', async () => (await heldUp(app, 'workflow_stream_chunks')).length === 1);
  const later = read(stream, 0);
  const elsewhere = read(stream, 1);
  await until('those were sent', async () => (await heldUp(app, 'workflow_stream_chunks')).length === 3);
  await release();

  await Promise.all([...together, later, elsewhere]);
  expect(statements).toBe(3);
});

test('a chunk that came again, or late from an execution that was given up, is not shown', async () => {
  const app = await createApplication();
  const [runId = ''] = await app.start('sleepingWorkflow', []);
  const world = await openWorld(app.url);
  const put = async (stream: RunStream, text: string) => {
    stream.write(text);
    await stream.end();
  };
  await inStep(runId, 1, async (givenUp) => {
    await put(givenUp, 'one, ');
    await inStep(runId, 2, async (stream) => {
      await put(stream, 'two, ');
      await put(givenUp, 'late, ');
      await put(stream, 'three, ');
      const stored = await world.getStreamChunks(nameOfStream(runId), runId);
      await world.writeToStream(nameOfStream(runId), runId, stored.data.at(-1)!.data);
      await givenUp.supersede();
      await put(stream, 'four');
    });
  });
  const readers = [attach(app, runId), attach(app, runId, '--json', '--from', '1'), attach(app, runId, '--from', '2')];
  for (const reader of readers) await reader.says('four');
  await app.ask('cancel', runId);
  for (const reader of readers) expect(await reader.exited).toBe(1);

  const [text, json, later] = readers as [Program, Program, Program];
  expect(later.stdout).toBe('three, four');
  expect(text.stdout).toBe('one, \n\n↻ The step was interrupted; from its beginning:\n\ntwo, three, four');
  expect(shownChunks(json).map((chunk) => [chunk.index, chunk.text])).toEqual([
    [1, 'two, '],
    [3, 'three, '],
    [6, 'four'],
  ]);
  expect(shownEnd(json)).toMatchObject({ status: 'cancelled', chunks: 7 });
});

async function listeners(app: Application): Promise<number> {
  return (await app.query(`SELECT ${LISTENERS}`)).length;
}
