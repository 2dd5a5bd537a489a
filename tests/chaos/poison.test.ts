import { expect, test } from 'vitest';
import { join } from 'node:path';
import { createApplication, type Application } from '../support/application.ts';
import { PROJECT, run, startProgram, type Program } from '../support/program.ts';
import { until } from '../support/until.ts';

const INDEX = join(PROJECT, 'index.ts');

/** So many that one is left when five have died. */
function startWorkers(app: Application): Promise<Program[]> {
  return Promise.all(Array.from({ length: 6 }, () => app.startWorker()));
}

const countOf = async (app: Application, runId: string) =>
  (await app.query('SELECT FROM executions WHERE run_id = $1', [runId])).length;

test('a run that eight workers die of is failed with a dead letter, alone at last, and its neighbours finish', async () => {
  const app = await createApplication();
  const workers = await startWorkers(app);
  const pids = new Set(workers.map(({ pid }) => pid));
  const neighbours = await app.start('waitingWorkflow', [25_000], 6);
  const [poisoned = ''] = await app.start('deadlyWorkflow', [1_000]);

  expect(await app.ended(poisoned)).toEqual({ status: 'failed' });

  const deadly = await app.query<{ pid: number }>(`SELECT pid FROM executions WHERE run_id = $1 ORDER BY at OFFSET 1`, [
    poisoned,
  ]);
  expect(deadly).toHaveLength(8);
  // The last three in processes of their own.
  expect(deadly.map(({ pid }) => pids.has(pid))).toEqual([...Array(5).fill(true), ...Array(3).fill(false)]);
  const [letter] = await app.query<{ reason: string }>(
    `SELECT data ->> 'reason' AS reason FROM workflow_queue.job WHERE name = 'workflow_dead' AND singleton_key = $1`,
    [poisoned],
  );
  expect(letter?.reason).toMatch(/^8 workers died .* postgres-world:redrive -- wrun_/);
  const shown = await run(startProgram(INDEX, ['status', poisoned, '--json'], { env: app.env }));
  expect(JSON.parse(shown.stdout)).toMatchObject({ status: 'failed', error: letter?.reason });
  const ended = await Promise.all(neighbours.map(app.ended));
  expect(ended.map(({ status }) => status)).toEqual(Array(6).fill('completed'));
  // Interruptions are no attempts: each neighbour has only one to lose.
  expect(await app.ask('result', neighbours[0]!)).toEqual([1]);
  await until('nothing is left over', async () => {
    const jobs = await app.query(
      `SELECT FROM workflow_queue.job WHERE state < 'completed' AND name <> 'workflow_dead'`,
    );
    return jobs.length === 0;
  });

  // The last worker would die of it, too.
  for (const worker of workers) worker.kill('SIGTERM');
  const [anew] = await app.ask<{ redriveOf: string }>('redrive', poisoned);
  expect(anew?.redriveOf).toBe(poisoned);
  expect(await app.query(`SELECT FROM workflow_queue.job WHERE name = 'workflow_dead'`)).toEqual([]);
});

test('a run that six workers die of and no seventh completes, alone: deaths use up no delivery (vercel/workflow #3992)', async () => {
  const app = await createApplication();
  const workers = await startWorkers(app);
  const pids = new Set(workers.map(({ pid }) => pid));
  const [runId = ''] = await app.start('deadlyWorkflow', [6]);

  expect(await app.ended(runId)).toEqual({ status: 'completed' });

  expect(await app.ask('result', runId)).toEqual([42]);
  expect(await countOf(app, runId)).toBe(1 + 7);
  const [last] = await app.query<{ pid: number }>('SELECT pid FROM executions ORDER BY at DESC LIMIT 1');
  expect(pids).not.toContain(last?.pid);
  expect(await app.query('SELECT FROM workflow_engine.run_progress WHERE deaths > 0')).toEqual([]);
});
