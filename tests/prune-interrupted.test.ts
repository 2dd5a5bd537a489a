import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createHealth } from '../src/health/health.ts';
import { createListener } from '../src/postgres/listener.ts';
import { keepSession } from '../src/postgres/session.ts';
import { createPool } from '../src/postgres/pool.ts';
import { pruneRuns } from '../src/prune/prune-runs.ts';
import { appendChunks, STREAM_CHANNEL } from '../src/streams/chunks.ts';
import { createStreamer } from '../src/streams/streamer.ts';
import { createTestDatabase, type TestDatabase } from './support/database.ts';
import { bulkRunId, bulkStream, insertEndedRuns, prune, rowsOf, startPrune } from './support/runs.ts';
import { run } from './support/program.ts';
import { until } from './support/until.ts';

/** Locks a row, so that a prune stops when it comes to it. Returns what lets it go on. */
async function holdUp({ url }: TestDatabase, from: string): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query('BEGIN');
  const { rowCount } = await client.query(`SELECT FROM ${from} FOR UPDATE`);
  expect(rowCount).toBe(1);
  return () => client.end();
}

async function isHeldUp({ query }: TestDatabase): Promise<boolean> {
  const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    AND query LIKE '%DELETE FROM%'`;
  return (await query(waiting)).length > 0;
}

/** The streams of a process, without a World around them. */
function openStreams({ url }: TestDatabase) {
  const pool = createPool(url, 3);
  const session = keepSession(url, createHealth(console.error).of('The session'));
  const listener = createListener(session, [STREAM_CHANNEL]);
  onTestFinished(async () => {
    await session[Symbol.asyncDispose]();
    await pool.end();
  });
  const streams = createStreamer(pool, listener, new AbortController().signal);
  return { pool, ...streams };
}

async function readOn(reader: ReadableStreamDefaultReader<Uint8Array>, most = Infinity): Promise<number> {
  for (let count = 0; ; count += 1) {
    if (count >= most || (await reader.read()).done) return count;
  }
}

test.each([
  { place: 'between two batches', row: `workflow.workflow_events WHERE id LIKE 'wevt_%300_1'` },
  {
    place: 'in a run of 20,000 chunks',
    row: `workflow.workflow_stream_chunks WHERE run_id = '${bulkRunId(999)}' AND id LIKE '%000007000'`,
  },
])('a prune that is killed $place leaves nothing broken: the next one finishes', async ({ row }) => {
  const database = await createTestDatabase();
  await insertEndedRuns(database, { count: 500 });
  await insertEndedRuns(database, { count: 1, first: 999, chunks: 20_000 });
  const runIds = Array.from({ length: 1_000 }, (_, n) => bulkRunId(n));
  const before = await rowsOf(database, runIds);
  const goOn = await holdUp(database, row);
  const victim = startPrune(database, ['30d']);
  await until('it is held up', () => isHeldUp(database), 20_000);
  victim.kill('SIGKILL');
  await victim.exited;
  await goOn();

  const left = await rowsOf(database, runIds);
  expect(left['workflow.workflow_stream_chunks']).toBeLessThan(before['workflow.workflow_stream_chunks']!);
  expect(left['workflow.workflow_runs']).toBe(left['workflow_engine.run_progress']);
  for (const table of ['events', 'steps', 'stream_chunks']) {
    const orphans = `SELECT FROM workflow.workflow_${table} t WHERE NOT EXISTS (
      SELECT FROM workflow.workflow_runs r WHERE r.id = t.run_id)`;
    expect(await database.query(orphans)).toEqual([]);
  }
  const broken = `SELECT stream_id FROM workflow.workflow_stream_chunks GROUP BY stream_id
    HAVING count(*) FILTER (WHERE eof) <> 1 OR max(substr(id, 6))::numeric <> count(*) - 1 OR max(id) <> max(id) FILTER (WHERE eof)`;
  expect(await database.query(broken)).toEqual([]);

  await prune(database, '30d');
  expect(await rowsOf(database, runIds)).toEqual({});
});

test('somebody reading a stream while it is pruned gets its end or all of it, and never hangs', async () => {
  const database = await createTestDatabase();
  await insertEndedRuns(database, { count: 1, chunks: 20_001 });
  const { pool, readFromStream, getStreamInfo } = openStreams(database);
  const open = async (start = 0) => (await readFromStream(bulkStream(1), start)).getReader();
  const before = await open();
  const behind = await open();
  const ahead = await open(15_000);
  expect(await readOn(before)).toBe(20_000);
  expect(await readOn(behind, 400)).toBe(400);
  expect(await readOn(ahead, 400)).toBe(400);
  const stopAt = `workflow.workflow_stream_chunks WHERE id LIKE '%000007000'`;
  const goOn = await holdUp(database, stopAt);
  const pruning = pruneRuns(pool, {
    jobPrefix: 'workflow_',
    queueSchema: 'workflow_queue',
    olderThanSeconds: 0,
    dryRun: false,
  });
  await until('it is held up', () => isHeldUp(database), 20_000);

  // Two of its transactions are done: the beginning is left, with an end.
  expect(await getStreamInfo(bulkStream(1), bulkRunId(1))).toEqual({ tailIndex: 9_999, done: true });
  expect(await readOn(await open())).toBe(10_000);
  expect(await readOn(ahead)).toBe(0);
  await goOn();
  await pruning;

  expect(await readOn(behind)).toBe(0);
  expect(await readOn(await open())).toBe(0);
});

test('a stream that is not named after its run ends for its reader, too', async () => {
  const database = await createTestDatabase();
  await insertEndedRuns(database, { count: 1 });
  await database.query(`UPDATE workflow.workflow_stream_chunks SET stream_id = 'strm_of_an_argument'`);
  const { readFromStream } = openStreams(database);
  const reader = (await readFromStream('strm_of_an_argument')).getReader();
  await reader.read();

  await prune(database, '0s');

  // The second one had come with the first.
  expect(await readOn(reader)).toBeLessThanOrEqual(1);
});

test('two prunes at once remove everything once', async () => {
  const database = await createTestDatabase();
  await insertEndedRuns(database, { count: 3_000 });
  await insertEndedRuns(database, { count: 1, first: 9_000, chunks: 30_000 });

  const both = await Promise.all([run(startPrune(database, ['0s'])), run(startPrune(database, ['0s']))]);

  expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  const sum = (kind: string) =>
    both.reduce(
      (total, { stdout }) => total + (JSON.parse(stdout) as { removed: Record<string, number> }).removed[kind]!,
      0,
    );
  expect(['runs', 'events', 'steps', 'streamChunks', 'jobs'].map(sum)).toEqual([3_001, 15_005, 6_002, 39_000, 6_002]);
});

test('a run of 20,000 chunks is removed in bounded statements', async () => {
  const database = await createTestDatabase();
  await insertEndedRuns(database, { count: 1, chunks: 20_000 });
  await database.query(`
    CREATE TABLE public.removals (transaction bigint, rows integer);
    CREATE FUNCTION note_removal() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO public.removals SELECT txid_current(), count(*) FROM gone;
      RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER DELETE ON workflow.workflow_stream_chunks REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION note_removal()`);

  await prune(database, '0s');

  const transactions = await database.query<{ rows: number }>(
    'SELECT sum(rows)::integer AS rows FROM public.removals GROUP BY transaction HAVING sum(rows) > 0',
  );
  expect(transactions).toEqual(Array.from({ length: 4 }, () => ({ rows: 5_000 })));
});

test('chunks that somebody writes for a run that is gone are removed on another day', async () => {
  const database = await createTestDatabase();
  await insertEndedRuns(database, { count: 1 });
  await prune(database, '0s');
  const { pool } = openStreams(database);
  await appendChunks(pool, bulkStream(1), bulkRunId(1), [Buffer.from('late')]);

  expect((await prune(database, '0s')).removed.streamChunks).toBe(0);
  await database.query(`UPDATE workflow.workflow_stream_chunks SET created_at = created_at - interval '2 days'`);

  expect((await prune(database, '0s', '--dry-run')).removed.streamChunks).toBe(1);
  expect((await prune(database, '0s')).removed.streamChunks).toBe(1);
  expect(await rowsOf(database, [bulkRunId(1)])).toEqual({});
});
