import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createApplication, type Application } from './support/application.ts';
import { attach, shownChunks, shownEnd, TEXT, textOf, WORDS } from './support/attached.ts';
import { run } from './support/program.ts';
import { until } from './support/until.ts';

const CONTENT = 'The zeppelin was late. The zeppelin was beautiful. Nobody minded.';

test('the report of the example is followed from another process as it is written, and is the stored one to the letter', async () => {
  const app = await createApplication();
  const [runId = ''] = await app.start('contentAnalysisWorkflow', [CONTENT]);
  const reader = attach(app, runId);
  await reader.says(/⚠ waits for a worker with the code [0-9a-f]{12}-simulated\n {2}WORKFLOW_MODEL=simulated npm run/);
  const notifications = await countNotifications(app);
  await app.startWorker();

  await reader.says('## Summary');
  expect(await app.query('SELECT status::text FROM workflow_runs')).toEqual([{ status: 'running' }]);
  expect(await reader.exited).toBe(0);

  const [result] = await app.ask<{ report: string }>('result', runId);
  expect(reader.stdout).toBe(result?.report);
  expect(reader.stderr).toMatch(/✓ contentAnalysisWorkflow completed in [\d.]+ s\n$/);
  expect(reader.stderr.match(/waits for a worker/g)).toHaveLength(1);

  const rows = (await app.query('SELECT FROM workflow_stream_chunks')).length;
  const tokens = result!.report.split(/\s+/).length;
  expect(rows).toBeLessThan(tokens / 2);
  expect(notifications()).toBeLessThanOrEqual(rows);
});

test('a chunk and a notification carry what was written in 50 ms, however many tokens that is', async () => {
  const app = await createApplication();
  const notifications = await countNotifications(app);
  await app.startWorker();
  const tokens = Array.from({ length: 1_000 }, (_, n) => `${n}`);
  const [runId = ''] = await app.start('streamingWorkflow', [tokens, 1]);
  const reader = attach(app, runId, '--json');

  expect(await reader.exited).toBe(0);

  expect(textOf(shownChunks(reader))).toBe(tokens.map((token) => `${token} `).join(''));
  const [{ rows, durationMs } = { rows: 0, durationMs: 0 }] = await app.query<{ rows: number; durationMs: number }>(
    `SELECT count(*)::int AS rows, extract(epoch FROM max(created_at) - min(created_at))::float * 1000 AS "durationMs"
     FROM workflow_stream_chunks`,
  );
  // The last two need not be 50 ms after what was before them: the rest, and the end mark.
  expect(rows).toBeLessThanOrEqual(durationMs / 50 + 3);
  expect(rows).toBeLessThan(tokens.length / 5);
  await until('every notification is there', () => notifications() >= rows);
  expect(notifications()).toBe(rows);
});

test('--from N begins with chunk N, in the middle of the run and after its end', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 150]);
  const whole = attach(app, runId, '--json');
  await whole.says('word9');
  const [part, ahead] = [attach(app, runId, '--json', '--from', '5'), attach(app, runId, '--json', '--from', '30')];
  for (const reader of [whole, part, ahead]) expect(await reader.exited).toBe(0);

  const chunks = shownChunks(whole);
  expect(textOf(chunks)).toBe(TEXT);
  expect(chunks.map(({ index }) => index)).toEqual(chunks.map((_, n) => n));
  expect(shownChunks(part)).toEqual(chunks.slice(5));
  expect(shownChunks(ahead)).toEqual(chunks.slice(30));
  const end = { runId, status: 'completed', chunks: chunks.length };
  for (const reader of [whole, part, ahead]) expect(shownEnd(reader)).toEqual(end);

  const [afterwards, beyond] = await Promise.all([
    run(attach(app, runId, '--from', '7')),
    run(attach(app, runId, '--json', '--from', '100000')),
  ]);
  expect(afterwards.stdout).toBe(textOf(chunks.slice(7)));
  expect(JSON.parse(beyond.stdout)).toEqual(end);
});

test('after Ctrl+C it says how to go on, and goes on without a gap', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [WORDS, 150]);
  const reader = attach(app, runId);
  await reader.says('word9');
  reader.kill('SIGINT');
  expect(await reader.exited).toBe(130);

  const [, from = ''] = new RegExp(`To go on: npm run postgres-world:attach -- ${runId} --from (\\d+)`).exec(
    reader.stderr,
  )!;
  const rest = await run(attach(app, runId, '--from', from));

  expect(Number(from)).toBeGreaterThan(0);
  expect(reader.stderr).not.toMatch(/did not stop in time|^\s+at /m);
  expect(reader.stdout + rest.stdout).toBe(TEXT);
});

test('what was seen of a failed attempt is marked as superseded before the next one begins', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('supersedingWorkflow', [WORDS, 20]);
  const [text, json] = await Promise.all([run(attach(app, runId)), run(attach(app, runId, '--json'))]);

  const chunks = shownChunks(json);
  const marked = chunks.findIndex(({ superseded }) => superseded);
  const half = textOf(chunks.slice(0, marked));
  expect(TEXT).toContain(half);
  expect(half).not.toBe('');
  expect(chunks[marked]).toEqual({ index: marked, attempt: 1, text: '', superseded: true });
  const counting = chunks.slice(marked + 1);
  expect(new Set(counting.map(({ attempt }) => attempt))).toEqual(new Set([2]));
  expect(textOf(counting)).toBe(TEXT);
  expect(text.stdout).toBe(`${half}\n\n↻ The step failed: the text above does not count.\n\n${TEXT}`);
});

test('a run that has no text ends with its state, and one that failed or was cancelled with exit code 1', async () => {
  const app = await createApplication();
  await app.startWorker();
  const runIds = await app.startAll(['sequenceWorkflow', [1]], ['failingWorkflow', []], ['sleepingWorkflow', []]);
  const [completed = '', failed = '', cancelled = ''] = runIds;
  const sleeping = attach(app, cancelled, '--json');
  const ended = await Promise.all([completed, failed].map((runId) => run(attach(app, runId, '--json'))));
  await app.ask('cancel', cancelled);
  const readers = [...ended, await run(sleeping)];

  expect(readers.map(({ exitCode }) => exitCode)).toEqual([0, 1, 1]);
  expect(readers.map(({ stdout }) => JSON.parse(stdout))).toEqual([
    { runId: completed, status: 'completed', chunks: 0 },
    { runId: failed, status: 'failed', chunks: 0, error: expect.stringContaining('never again') },
    { runId: cancelled, status: 'cancelled', chunks: 0 },
  ]);
  const { stdout, stderr } = await run(attach(app, failed));
  expect(stdout).toBe('');
  expect(stderr).toMatch(/✗ failingWorkflow failed in [\d.]+ s\n.*never again/);
});

test('a run that does not exist, or that is another application’s, is refused at once', async () => {
  const app = await createApplication();
  const [theirs = ''] = await app.start('streamingWorkflow', [WORDS, 10]);
  const unknown = theirs.slice(0, -3) + '000';
  const others = { env: { ...app.env, WORKFLOW_POSTGRES_JOB_PREFIX: 'other_' } };
  const readers = await Promise.all([run(attach(app, unknown)), run(attach(others, theirs))]);

  for (const { exitCode, stdout } of readers) expect([exitCode, stdout]).toEqual([1, '']);
  expect(readers[0].stderr).toBe(`There is no run ${unknown} with the job prefix "workflow_".\n`);
  expect(readers[1].stderr).toBe(`There is no run ${theirs} with the job prefix "other_".\n`);
});

/** Those that readers of streams wait for, from now on. */
async function countNotifications({ url }: Application): Promise<() => number> {
  const client = new Client({ connectionString: url });
  let count = 0;
  client.on('notification', () => (count += 1));
  await client.connect();
  onTestFinished(() => client.end());
  await client.query('LISTEN workflow_stream');
  return () => count;
}
