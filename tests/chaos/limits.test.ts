import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createApplication } from '../support/application.ts';
import { PROJECT, startProgram } from '../support/program.ts';
import { peakMegabytes } from '../support/resources.ts';
import { until } from '../support/until.ts';

const RUNS = 1_000;
/** What is in use, not what may be freed: a process that needs more dies of it. */
const HEAP = { NODE_OPTIONS: '--max-old-space-size=320' };
const MOST_MEGABYTES = 900;

test.each(['1', '2'])('a pool of %s for ten steps at once does not deadlock (vercel/workflow #1525)', async (size) => {
  const app = await createApplication();
  const pool = { WORKFLOW_POSTGRES_MAX_POOL_SIZE: size, WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '10' };
  const worker = await app.startWorker(pool);
  const words = Array.from({ length: 10 }, (_, n) => `word${n}`);
  const startedAt = Date.now();
  const runIds = await app.startAll(
    ['mixedWorkflow', ['narrow']],
    ...Array.from({ length: 3 }, (): [string, unknown[]] => ['parallelWorkflow', [25, 100]]),
    ...Array.from({ length: 10 }, (): [string, unknown[]] => ['streamingWorkflow', [words, 20]]),
  );
  await until('the run waits for its hook', async () => (await app.query('SELECT FROM workflow_hooks')).length === 1);
  await app.ask('resume', 'hook-narrow', '{"answer":"yes"}');

  for (const { status } of await Promise.all(runIds.map(app.ended))) expect(status).toBe('completed');

  console.log(`A pool of ${size}: 14 runs in ${Date.now() - startedAt} ms`);
  // Every step once, but the one that fails twice.
  expect(await app.executions()).toHaveLength(6 + 3 * 25 + 10);
  expect(worker.stderr).not.toContain('could not be finished');
});

test('1,000 runs started at once by a process without a worker all complete, in bounded memory (vercel/workflow #3968)', async () => {
  const app = await createApplication();
  const workers = await Promise.all([app.startWorker(HEAP), app.startWorker(HEAP)]);
  const startedAt = Date.now();
  const parameters = ['start', 'sequenceWorkflow', '[1]', String(RUNS)];
  const starter = startProgram(join(PROJECT, 'tests/fixtures/process.ts'), parameters, {
    env: { ...app.env, ...HEAP },
  });
  let ended = false;
  const exited = starter.exited.finally(() => (ended = true));
  let starterPeak = 0;
  await until(
    'the starter has ended',
    async () => {
      starterPeak = (await peakMegabytes(starter.pid)) ?? starterPeak;
      return ended;
    },
    180_000,
  );
  expect(await exited).toBe(0);
  const startMs = Date.now() - startedAt;
  expect(JSON.parse(starter.stdout)).toHaveLength(RUNS);

  await until(
    'all runs are completed',
    async () => {
      const [{ count } = { count: 0 }] = await app.query<{ count: number }>(
        `SELECT count(*)::integer AS count FROM workflow_runs WHERE status = 'completed'`,
      );
      return count === RUNS;
    },
    180_000,
  );

  const workerPeaks = await Promise.all(workers.map(({ pid }) => peakMegabytes(pid)));
  console.log(
    `${RUNS} runs: started in ${startMs} ms, completed after ${Date.now() - startedAt} ms; at most ${starterPeak} MB in the starter, ${workerPeaks.join(' and ')} MB in the workers`,
  );
  expect(Math.max(starterPeak, ...workerPeaks.map(Number))).toBeLessThan(MOST_MEGABYTES);
  expect(new Set((await app.executions()).map(({ stepId }) => stepId)).size).toBe(RUNS);
  expect(await app.executions()).toHaveLength(RUNS);
}, 420_000);
