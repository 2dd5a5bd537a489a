import { expect, test } from 'vitest';
import { approvalToken } from '../src/approval/approval.ts';
import { createApplication } from './support/application.ts';
import { answer, answersOf, approvalOf, INDEX, startAsking, untilParked } from './support/approvals.ts';
import { startForgetfulProxy } from './support/forgetful-proxy.ts';
import { run, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

interface Document {
  runs: { runId: string; status: string; waitsFor?: string; result?: object; error?: string }[];
}

test('--approve shows the report, says how to answer and exits; the answer waits for a worker, which ends the run', async () => {
  const app = await createApplication();
  const content = (...args: string[]) =>
    run(
      startProgram(INDEX, ['content', '--approve', '--key', 'a', '--input', '-', ...args], {
        env: app.env,
        input: 'It is good.',
      }),
    );

  const asked = await content();

  expect(asked.exitCode).toBe(0);
  expect(asked.stdout).toContain('## Summary');
  const runId = /approve -- (wrun_\w+)/.exec(asked.stdout)?.[1] ?? '';
  expect(asked.stdout).toContain('⏸ contentAnalysisWorkflow waits for approval');
  expect(asked.stdout).toContain(`npm run postgres-world:reject -- ${runId} --reason TEXT`);
  expect(asked.stderr).not.toContain('Not finished');
  // Nobody works on it, and nobody has to: no process is left, and no job.
  await untilParked(app, runId);

  // The same key finds it; it says the same again.
  const again = await content('--json');
  expect(again.exitCode).toBe(0);
  expect(JSON.parse(again.stdout)).toEqual({
    runs: [expect.objectContaining({ runId, status: 'running', waitsFor: 'approval' })],
  });
  expect((JSON.parse(again.stdout) as Document).runs[0]).not.toHaveProperty('result');
  expect((JSON.parse(again.stdout) as Document).runs[0]).not.toHaveProperty('error');
  expect(again.stderr).not.toMatch(/Not finished|from before/);

  const waiting = await answer(app, 'status');
  expect(waiting.stdout).toContain(`⏸ waits for approval: npm run postgres-world:approve -- ${runId} (or reject)`);
  expect((await answer(app, 'status', runId)).stdout).toMatch(/^ {2}⏸ approval/m);

  const approved = await answer(app, 'approve', runId);
  expect(approved.exitCode).toBe(0);
  expect(approved.stdout).toContain(`Approved contentAnalysisWorkflow: run ${runId}`);
  expect(approved.stdout).toContain('No worker takes it yet');
  expect(approved.stdout).toContain('WORKFLOW_MODEL=simulated npm run example:postgres-world:worker');
  expect((await answer(app, 'status')).stdout).toContain('waits for a worker with the code');

  // The command that began it goes on with it, and shows the result.
  const finished = await content('--json');
  const [document] = (JSON.parse(finished.stdout) as Document).runs;
  expect(document).toMatchObject({ runId, status: 'completed', result: { approval: { approved: true } } });
  expect(document).not.toHaveProperty('waitsFor');
  expect((await content()).stdout).toContain('"approved": true');
  expect(await app.query('SELECT FROM workflow_engine.model_calls')).toHaveLength(3);
});

test('a run is rejected while a worker is there: it completes with the reason, and cannot be answered again', async () => {
  const app = await createApplication();
  await app.startWorker();
  const runId = await startAsking(app);
  await untilParked(app, runId);

  const rejected = await answer(app, 'reject', runId, '--reason', 'Too “short”.', '--json');

  expect(rejected.exitCode).toBe(0);
  const approval = { approved: false, reason: 'Too “short”.' };
  expect(JSON.parse(rejected.stdout)).toEqual({ runId, workflow: 'contentAnalysisWorkflow', approval });
  expect(await approvalOf(app, runId)).toEqual(approval);
  for (const late of [await answer(app, 'approve', runId), await answer(app, 'reject', runId, '--reason', 'x')]) {
    expect(late).toMatchObject({ exitCode: 1, stdout: '' });
    expect(late.stderr).toMatch(/was answered before: rejected \(Too “short”\.\) at \d{4}-\d\d-\d\dT[\d:.]+Z\.$/m);
    expect(late.stderr).not.toContain('    at ');
  }
  expect(await answersOf(app, runId)).toHaveLength(1);
});

test('five approvals and five rejections at the same moment, in two processes: one wins, and the run gets that one', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const runId = await startAsking(app);
  await untilParked(app, runId);
  // So that nobody takes the run on before all have answered.
  worker.kill('SIGKILL');
  await worker.exited;
  const yes = Array.from({ length: 5 }, () => ({ approved: true }));
  const no = Array.from({ length: 5 }, (_, n) => ({ approved: false, reason: `reason ${n}` }));
  const ask = (payloads: object[]) =>
    app.ask<{ runId: string; name?: string; answer?: { payload: object } }>(
      'answer',
      approvalToken(runId),
      JSON.stringify(payloads),
    );

  const outcomes = (await Promise.all([ask(yes), ask(no)])).flat();

  expect(outcomes).toHaveLength(10);
  const winner = outcomes.findIndex(({ name }) => name === undefined);
  const losers = outcomes.filter(({ name }) => name === 'HookAnsweredError');
  expect(outcomes[winner]).toEqual({ runId });
  expect(losers).toHaveLength(9);
  const approval = [...yes, ...no][winner];
  for (const loser of losers) expect(loser).toMatchObject({ runId, answer: { payload: approval } });
  expect(await answersOf(app, runId)).toHaveLength(1);
  await app.startWorker();
  expect(await approvalOf(app, runId)).toEqual(approval);
});

test('approve and reject as two commands at the same moment, beside a worker: one of them wins', async () => {
  const app = await createApplication();
  await app.startWorker();
  const runId = await startAsking(app);
  await untilParked(app, runId);

  const [approve, reject] = await Promise.all([
    answer(app, 'approve', runId),
    answer(app, 'reject', runId, '--reason', 'no'),
  ]);

  expect([approve.exitCode, reject.exitCode].toSorted()).toEqual([0, 1]);
  const loser = approve.exitCode === 0 ? reject : approve;
  expect(loser.stderr).toContain(
    approve.exitCode === 0 ? 'answered before: approved at' : 'answered before: rejected (no) at',
  );
  expect((await approvalOf(app, runId))?.approved).toBe(approve.exitCode === 0);
});

test('the answer to the commit gets lost: the command finds out that it was the one that answered', async () => {
  const app = await createApplication();
  await app.startWorker();
  const runId = await startAsking(app);
  await untilParked(app, runId);
  const proxy = await startForgetfulProxy(app.url, 'hook_received');
  const env = { ...app.env, WORKFLOW_POSTGRES_URL: proxy.url };

  const approved = await run(startProgram(INDEX, ['approve', runId], { env }));

  expect(proxy.lostAnswers()).toBe(1);
  expect(approved).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('A worker takes it.') });
  expect(await answersOf(app, runId)).toHaveLength(1);
  expect(await approvalOf(app, runId)).toEqual({ approved: true });
});

test('a run that does not wait for approval says what it is; one that will is not answered in advance', async () => {
  const app = await createApplication();
  const early = await startAsking(app);
  const cancelled = await startAsking(app);
  await app.ask('cancel', cancelled);
  const worker = await app.startWorker();
  const [ended = ''] = await app.start('contentAnalysisWorkflow', ['It is good.']);
  const [other = ''] = await app.start('parkedWorkflow', ['a-token']);
  await app.ended(ended);
  await untilParked(app, early);
  worker.kill('SIGTERM');
  await worker.exited;
  const notYet = await startAsking(app);

  const refusals: [string, string][] = [
    ['wrun_00000000000000000000000000', 'There is no run wrun_00000000000000000000000000'],
    [notYet, `${notYet} is pending, and does not (yet) wait for approval.`],
    [other, `${other} is running, and does not (yet) wait for approval.`],
    [ended, `${ended} is completed, and does not wait for approval.`],
    [cancelled, `${cancelled} is cancelled, and does not wait for approval.`],
  ];
  for (const [runId, says] of refusals) {
    const { exitCode, stdout, stderr } = await answer(app, 'approve', runId);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toContain(says);
    expect(stderr).not.toContain('    at ');
  }
  // Somebody else's application in the same database.
  const foreign = { ...app.env, WORKFLOW_POSTGRES_JOB_PREFIX: 'other_' };
  const { stderr } = await run(startProgram(INDEX, ['approve', early], { env: foreign }));
  expect(stderr).toContain(`There is no run ${early} with the job prefix "other_".`);
});

test('a hook of any workflow is answered once; without one there is no answer', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('hookBesideStepWorkflow', ['a-token', 10_000]);
  await until(
    'it waits on its hook',
    async () => (await app.query('SELECT FROM workflow.workflow_hooks')).length === 1,
  );
  const [missing] = await app.ask('answer', 'no-such-token', '["x"]');
  expect(missing).toMatchObject({
    name: 'ConfigError',
    message: 'No run waits on the hook "no-such-token": not yet, or not any more.',
  });

  const outcomes = await app.ask<{ name?: string; message?: string }>('answer', 'a-token', '["one","two"]');

  const winner = outcomes.findIndex(({ name }) => name === undefined);
  expect(outcomes[1 - winner]?.message).toContain(`The hook "a-token" of ${runId} was answered at `);
  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.ask('result', runId)).toEqual([[['one', 'two'][winner], 1]]);
});
