import { Client } from 'pg';
import { expect, test } from 'vitest';
import { setUpDatabase } from '../../src/postgres/setup.ts';
import { readText, type TextPiece } from '../../src/streams/read-text.ts';
import { createApplication } from '../support/application.ts';
import { attach, expectEveryWord, shownChunks, shownEnd, textOf, WORDS } from '../support/attached.ts';
import { query } from '../support/database.ts';
import { heldUp, holdUp } from '../support/hold-up.ts';
import { inStep, openWorld } from '../support/in-step.ts';
import { embeddedPostgres } from '../support/postgres-binaries.ts';
import { startProxy } from '../support/proxy.ts';
import { startStoppableServer } from '../support/server.ts';
import { until } from '../support/until.ts';

const CONTENT = 'The zeppelin was late. The zeppelin was beautiful. Nobody minded.';

test('a reader of the report goes on when its worker is killed, says that nobody writes it, and ends with the stored text', async () => {
  const app = await createApplication();
  const victim = await app.startWorker();
  const [runId = ''] = await app.start('contentAnalysisWorkflow', [CONTENT]);
  const [json, text] = [attach(app, runId, '--json'), attach(app, runId)];
  await until('some of the report was seen', () => shownChunks(json).length > 5);
  await text.says('## Summary');
  victim.kill('SIGKILL');
  await text.says('waits for a worker');
  const late = attach(app, runId, '--json', '--from', '3');
  await app.startWorker();

  for (const reader of [json, text, late]) expect(await reader.exited).toBe(0);

  const [result] = await app.ask<{ report: string }>('result', runId);
  const chunks = shownChunks(json);
  expect(chunks.map(({ index }) => index)).toEqual(chunks.map((_, n) => n));
  expect(shownEnd(json)).toMatchObject({ status: 'completed', chunks: chunks.length });
  expect(shownChunks(late)).toEqual(chunks.slice(3));
  const [first, second] = [1, 2].map((attempt) => textOf(chunks.filter((chunk) => chunk.attempt === attempt)));
  expect(second).toBe(result?.report);
  expect(text.stdout).toBe(`${first}\n\n↻ The step was interrupted; from its beginning:\n\n${second}`);
});

test('a server that is restarted in the middle, in order and by a crash, costs no chunk', async () => {
  const server = await startStoppableServer(await embeddedPostgres());
  await setUpDatabase(server.url, 'workflow_queue');
  const app = await createApplication(undefined, {
    url: server.url,
    query: (sql, values) => query(server.url, sql, values),
  });
  await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 400]);
  const reader = attach(app, runId, '--json');
  for (const how of ['fast', 'immediate'] as const) {
    await reader.says(how === 'fast' ? 'word5' : 'word25');
    await server.stop(how);
    await server.start();
  }
  const late = attach(app, runId, '--json', '--from', '10');

  for (const program of [reader, late]) expect(await program.exited).toBe(0);

  expectEveryWord(reader);
  expect(shownChunks(late)).toEqual(shownChunks(reader).slice(10));
  expect(reader.stderr).not.toMatch(/^\s+at /m);
});

test('a step that fails while the database is away waits a second to say so, and says it when the database is back', async () => {
  const app = await createApplication();
  const proxy = await startProxy(app.url);
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 10]);
  const world = await openWorld(proxy.url);
  await inStep(runId, 1, async (stream) => {
    stream.write('garbled');
    await stream.end();
    proxy.cut('silently');
    const since = performance.now();
    await stream.supersede();
    expect(performance.now() - since).toBeLessThan(2_000);
  });
  proxy.restore();

  const pieces: TextPiece[] = [];
  for await (const piece of readText(world, runId)) {
    pieces.push(piece);
    if (piece.superseded) break;
  }
  expect(pieces).toEqual([
    { index: 0, attempt: 1, text: 'garbled' },
    { index: 1, attempt: 1, text: '', superseded: true, discards: 'failed' },
  ]);
});

test('a reader whose connection is lost while it reads the last of a run that has ended reads it once more', async () => {
  const app = await createApplication();
  const [runId = ''] = await app.start('sleepingWorkflow', []);
  const world = await openWorld(app.url);
  const texts: string[] = [];
  const reading = (async () => {
    for await (const { text } of readText(world, runId)) texts.push(text);
  })();
  const asks = (table: string) => until(`it asks for ${table}`, async () => (await heldUp(app, table))[0]);
  const canceller = new Client({ connectionString: app.url });
  await canceller.connect();
  await canceller.query(`BEGIN; LOCK TABLE workflow_runs IN ACCESS EXCLUSIVE MODE;
    UPDATE workflow_runs SET status = 'cancelled'`);
  // It has found no chunk, and wants to know whether the run has ended.
  await asks('workflow_runs');
  await inStep(runId, 1, async (stream) => {
    stream.write('the last');
    await stream.end();
  });
  const releaseChunks = await holdUp(app, 'workflow_stream_chunks', 'ACCESS EXCLUSIVE');
  await canceller.query('COMMIT');
  await canceller.end();
  const { pid } = await asks('workflow_stream_chunks');
  await app.query('SELECT pg_terminate_backend($1)', [pid]);
  await releaseChunks();

  await reading;
  expect(texts).toEqual(['the last']);
});
