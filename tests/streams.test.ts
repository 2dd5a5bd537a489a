import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createApplication } from './support/application.ts';
import { PROJECT, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

interface TextChunk {
  attempt: number;
  text: string;
}

const PROCESS = join(PROJECT, 'tests/fixtures/process.ts');
const WORDS = Array.from({ length: 60 }, (_, n) => `word${n}`);
const TEXT = WORDS.map((word) => `${word} `).join('');

const textOf = (chunks: TextChunk[]) => chunks.map(({ text }) => text).join('');
const parse = (stdout: string) =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as TextChunk);

test('a reader in another process gets the stream live, and from any index', async () => {
  const app = await createApplication();
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 100]);
  const reader = startProgram(PROCESS, ['read', runId], { env: app.env });
  await until('the reader is there', async () => {
    const sessions = `SELECT FROM pg_stat_activity WHERE application_name = 'postgres-world session' AND datname = current_database()`;
    return (await app.query(sessions)).length > 0;
  });
  await app.startWorker();

  await reader.says('word3');
  const [run] = await app.query<{ status: string }>('SELECT status::text FROM workflow_runs');
  expect(run?.status).toBe('running');
  expect(await reader.exited).toBe(0);

  const chunks = parse(reader.stdout);
  expect(textOf(chunks)).toBe(TEXT);
  expect(await app.ask('read', runId, '5')).toEqual(chunks.slice(5));
  expect(await app.ask('read', runId, '-2')).toEqual(chunks.slice(-2));
});

test('a reader loses and repeats nothing when its LISTEN session and its connections are ended', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 100]);
  const reader = startProgram(PROCESS, ['read', runId], { env: app.env });
  for (const word of ['word3', 'word10', 'word17']) {
    await reader.says(word);
    await app.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
  }

  expect(await reader.exited).toBe(0);

  expect(textOf(parse(reader.stdout))).toBe(TEXT);
});

test('the first word is not held up, and those after it share a chunk', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 5]);

  const chunks = await app.ask<TextChunk>('read', runId);

  expect(chunks[0]?.text).toBe('word0 ');
  expect(chunks.length).toBeLessThan(WORDS.length);
  expect(textOf(chunks)).toBe(TEXT);
});

test('a step that is killed while it streams writes anew under a higher attempt, and the stream has its end', async () => {
  const app = await createApplication();
  const victim = await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 50]);
  await until('some of it is written', async () => (await app.query('SELECT FROM workflow_stream_chunks')).length > 3);
  victim.kill('SIGKILL');
  await app.startWorker();

  const chunks = await app.ask<TextChunk>('read', runId);

  expect(chunks[0]?.attempt).toBe(1);
  expect(textOf(chunks.filter(({ attempt }) => attempt === 2))).toBe(TEXT);
  expect(await app.query('SELECT FROM workflow_stream_chunks WHERE eof')).toHaveLength(1);
});

test('the end of a stream is recorded with the result of the step that wrote it', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS.slice(0, 3), 10]);
  await app.ended(runId);

  const rows = await app.query<{ same: boolean }>(
    `SELECT c.xmin = e.xmin AS same FROM workflow_stream_chunks c, workflow_events e
     WHERE c.eof AND e.type = 'step_completed'`,
  );
  expect(rows).toEqual([{ same: true }]);
});

test('a reader of a run that failed without a stream comes to an end', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('failingWorkflow', []);

  expect(await app.ask('read', runId)).toEqual([]);
  expect(await app.ended(runId)).toEqual({ status: 'failed' });
});
