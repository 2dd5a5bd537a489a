import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createApplication } from './support/application.ts';
import { PROJECT, run, startProgram } from './support/program.ts';

const INDEX = join(PROJECT, 'index.ts');

interface Redrive {
  runId: string;
  redriveOf: string;
  isNew: boolean;
}

test('a run that has failed is started anew from its input, once, by however many', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [failed = ''] = await app.start('failingOnceWorkflow', [20]);
  expect(await app.ended(failed)).toEqual({ status: 'failed' });
  const before = await app.query('SELECT * FROM workflow.workflow_events WHERE run_id = $1 ORDER BY id', [failed]);

  const redrives = (await Promise.all([1, 2, 3].map(() => app.ask<Redrive>('redrive', failed)))).flat();

  expect(new Set(redrives.map(({ runId }) => runId)).size).toBe(1);
  expect(redrives.filter(({ isNew }) => isNew)).toHaveLength(1);
  const { runId } = redrives[0]!;
  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.ask('result', runId)).toEqual([40]);
  expect(await app.query('SELECT run_id, redrive_of FROM workflow_engine.run_progress ORDER BY created_at')).toEqual([
    { run_id: failed, redrive_of: null },
    { run_id: runId, redrive_of: failed },
  ]);
  const after = await app.query('SELECT * FROM workflow.workflow_events WHERE run_id = $1 ORDER BY id', [failed]);
  expect(after).toEqual(before);
});

test('redrive RUN_ID starts a cancelled run with the code of today, and status links the two', async () => {
  const app = await createApplication();
  const index = (...args: string[]) => run(startProgram(INDEX, args, { env: app.env }));
  const [cancelled = ''] = await app.start('contentAnalysisWorkflow', ['It is good.']);
  await app.ask('cancel', cancelled);

  const redrive = await index('redrive', cancelled, '--json');

  expect(redrive.exitCode).toBe(0);
  const { runId, ...rest } = JSON.parse(redrive.stdout) as Redrive;
  expect(rest).toMatchObject({ workflow: 'contentAnalysisWorkflow', redriveOf: cancelled, isNew: true });
  expect((await index('status', cancelled)).stdout).toMatch(new RegExp(`anew as +${runId}`));
  expect((await index('status', runId)).stdout).toMatch(new RegExp(`anew of +${cancelled}`));
  const again = await index('redrive', cancelled);
  expect(again.stdout).toContain(`Found contentAnalysisWorkflow anew: run ${runId}`);
  expect(again.stdout).toContain('No worker takes it yet');
});

test.each([
  { id: 'wrun_00000000000000000000000000', says: 'There is no run wrun_00000000000000000000000000' },
  { id: 'unfinished', says: 'is pending: only a run that has failed or was cancelled' },
  { id: 'of other code', says: 'which the code has no more' },
])('redrive refuses a run that is $id', async ({ id, says }) => {
  const app = await createApplication();
  const ids: Record<string, string> = {
    unfinished: (await app.start('contentAnalysisWorkflow', ['It is good.']))[0]!,
    'of other code': (await app.start('sequenceWorkflow', [1]))[0]!,
  };
  if (id === 'of other code') await app.ask('cancel', ids[id]!);

  const { exitCode, stdout, stderr } = await run(startProgram(INDEX, ['redrive', ids[id] ?? id], { env: app.env }));

  expect(exitCode).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toContain(says);
  expect(stderr).not.toContain('    at ');
});
