import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError } from '../src/config/config.ts';
import { startOnce } from '../src/runtime/start-once.ts';
import { createApplication, type Application } from './support/application.ts';
import { startForgetfulProxy } from './support/forgetful-proxy.ts';
import { heldUp, holdUp } from './support/hold-up.ts';
import { PROJECT, run, startProgram, type Program } from './support/program.ts';
import { areSettled, prune, rowsOf } from './support/runs.ts';
import { until } from './support/until.ts';

const PROCESS = join(PROJECT, 'tests/fixtures/process.ts');
const INDEX = join(PROJECT, 'index.ts');

interface Outcome {
  runId: string;
  isNew?: boolean;
  /** Of an error. */
  name?: string;
  message?: string;
}

const ask = (app: Application, workflow: string, args: unknown[], key: string) =>
  app.ask<Outcome>('start-once', workflow, JSON.stringify(args), key).then(([outcome]) => outcome!);

// vercel/workflow #85
test('20 callers in 4 processes use a key at the same moment: they get one run, which is executed once', async () => {
  const app = await createApplication();
  await app.startWorker();
  const goOn = await holdUp(app, 'workflow_engine.start_keys');
  const callers = Array.from({ length: 4 }, () =>
    startProgram(PROCESS, ['start-once', 'sequenceWorkflow', '[3]', 'order-1', '5'], { env: app.env }),
  );
  await until('all of them are about to start it', async () => (await heldUp(app, 'start_keys')).length === 20);
  await goOn();

  const outcomes = (await Promise.all(callers.map(run))).flatMap(linesOf);
  const [{ runId } = { runId: '' }] = outcomes;

  expect(outcomes).toHaveLength(20);
  expect(new Set(outcomes.map((outcome) => outcome.runId))).toEqual(new Set([runId]));
  expect(outcomes.filter(({ isNew }) => isNew)).toHaveLength(1);
  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.ask('result', runId)).toEqual([12]);
  expect(await app.executions()).toHaveLength(3);
  for (const table of ['workflow.workflow_runs', 'workflow_engine.run_progress', 'workflow_engine.start_keys']) {
    expect(await app.query(`SELECT FROM ${table}`)).toHaveLength(1);
  }
});

test('a caller is killed before its first message is sent: the next one gets the run, and it is executed', async () => {
  const app = await createApplication();
  const goOn = await holdUp(app, 'workflow_queue.job');
  const caller = startProgram(PROCESS, ['start-once', 'sequenceWorkflow', '[2]', 'order-1'], { env: app.env });
  const [sending] = await until('the message is about to be sent', async () => {
    const sessions = await heldUp(app, 'workflow_queue.job');
    return sessions.length > 0 && sessions;
  });
  caller.kill('SIGKILL');
  await caller.exited;
  // The server would execute the statement that it has got already.
  await app.query('SELECT pg_terminate_backend($1, 10000)', [sending!.pid]);
  await goOn();
  expect(await app.query('SELECT FROM workflow_queue.job')).toEqual([]);
  const [{ id } = { id: '' }] = await app.query<{ id: string }>('SELECT id FROM workflow_runs');

  expect(await ask(app, 'sequenceWorkflow', [2], 'order-1')).toEqual({ runId: id, isNew: false });

  await app.startWorker();
  expect(await app.ended(id)).toEqual({ status: 'completed' });
  expect(await app.executions()).toHaveLength(2);
});

test('the answer to the commit gets lost: the caller finds out that it has started the run', async () => {
  const app = await createApplication();
  const proxy = await startForgetfulProxy(app.url, 'INSERT INTO workflow_engine.start_keys');
  const env = { ...app.env, WORKFLOW_POSTGRES_URL: proxy.url };
  const args = ['start-once', 'sequenceWorkflow', '[2]', 'order-1'];

  const [outcome] = linesOf(await run(startProgram(PROCESS, args, { env })));

  expect(proxy.lostAnswers()).toBe(1);
  const [{ id } = { id: '' }] = await app.query<{ id: string }>('SELECT id FROM workflow_runs');
  expect(outcome).toEqual({ runId: id, isNew: true });
  expect(await app.query('SELECT FROM workflow_queue.job')).toHaveLength(1);
});

test('a key that has started something else is refused, with the run that has it', async () => {
  const app = await createApplication();
  const { runId } = await ask(app, 'sequenceWorkflow', [2], 'order-1');

  const [otherWorkflow, otherArguments] = await Promise.all([
    ask(app, 'parallelWorkflow', [2], 'order-1'),
    ask(app, 'sequenceWorkflow', [3], 'order-1'),
  ]);

  expect(otherWorkflow).toMatchObject({ name: 'StartKeyConflictError', runId });
  expect(otherWorkflow.message).toContain(`"order-1" belongs to the run ${runId} of sequenceWorkflow`);
  expect(otherArguments).toMatchObject({ name: 'StartKeyConflictError', runId });
  expect(otherArguments.message).toContain('which has other arguments');
  expect(await app.query('SELECT FROM workflow_runs')).toHaveLength(1);
  // Its message has no input: after a prune, it must not begin the run once more.
  expect(await app.query(`SELECT data #> '{payload,runInput}' AS input FROM workflow_queue.job`)).toEqual([
    { input: null },
  ]);
});

// vercel/workflow #2376
test('a step that is executed again does not start its child run again', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [parent = ''] = await app.start('parentWorkflow', [2]);

  expect(await app.ended(parent)).toEqual({ status: 'completed' });

  const [child = ''] = await app.ask<string>('result', parent);
  expect(await app.ended(child)).toEqual({ status: 'completed' });
  expect(await app.query('SELECT attempt FROM workflow_steps WHERE run_id = $1', [parent])).toEqual([{ attempt: 2 }]);
  expect(await app.query('SELECT FROM workflow_runs')).toHaveLength(2);
});

test("another application's key is another key", async () => {
  const app = await createApplication();
  const other = { ...app.env, WORKFLOW_POSTGRES_JOB_PREFIX: 'other_' };
  const args = ['start-once', 'sequenceWorkflow', '[2]', 'order-1'];
  const outcomes = await Promise.all([app.env, other].map((env) => run(startProgram(PROCESS, args, { env }))));

  const [ours, theirs] = outcomes.flatMap(linesOf);

  expect([ours?.isNew, theirs?.isNew]).toEqual([true, true]);
  expect(ours?.runId).not.toBe(theirs?.runId);
});

test('prune frees the key of a run that it removes, and of no other', async () => {
  const app = await createApplication();
  await app.startWorker();
  const old = await ask(app, 'sequenceWorkflow', [1], 'old');
  const parked = await ask(app, 'sleepingWorkflow', [], 'parked');
  await app.ended(old.runId);
  await until('its jobs are finished', () => areSettled(app, [old.runId]));

  await prune(app, '0s');

  expect(await rowsOf(app, [old.runId])).toEqual({});
  const again = await ask(app, 'sequenceWorkflow', [2], 'old');
  expect(again).toEqual({ runId: expect.not.stringMatching(old.runId), isNew: true });
  expect(await ask(app, 'sleepingWorkflow', [], 'parked')).toEqual({ ...parked, isNew: false });
  expect(await app.ended(again.runId)).toEqual({ status: 'completed' });
});

test('the key of a run that was deleted by hand can be used again', async () => {
  const app = await createApplication();
  const { runId } = await ask(app, 'sequenceWorkflow', [1], 'order-1');
  await app.query('DELETE FROM workflow_runs');

  expect(await ask(app, 'sequenceWorkflow', [2], 'order-1')).toEqual({
    runId: expect.not.stringMatching(runId),
    isNew: true,
  });
});

test('--key twice: the second command shows the run of the first one, and what it may not start', async () => {
  const app = await createApplication();
  const call = (...args: string[]) =>
    run(startProgram(INDEX, [...args, '--key', 'article-1', '--json'], { env: app.env, input: 'Tea is good.' }));
  const first = await call('content', '--input', '-');
  const second = await call('content', '--input', '-');
  const third = await call('research');
  const fourth = await call('content');

  expect([first, second, third, fourth].map(({ exitCode }) => exitCode)).toEqual([0, 0, 1, 1]);
  expect(JSON.parse(second.stdout)).toEqual(JSON.parse(first.stdout));
  const [{ runId }] = (JSON.parse(first.stdout) as { runs: [Outcome] }).runs;
  expect(first.stderr).toContain(`Started contentAnalysisWorkflow: run ${runId}`);
  expect(second.stderr).toContain(`Found contentAnalysisWorkflow: run ${runId}`);
  for (const { stdout, stderr } of [third, fourth]) {
    expect(stdout).toBe('');
    expect(stderr).toContain(`The start key "article-1" belongs to the run ${runId} of contentAnalysisWorkflow`);
    expect(stderr).not.toContain('    at ');
  }
  expect(third.stderr).toContain('cannot start multiAgentResearchWorkflow');
  expect(fourth.stderr).toContain('which has other arguments');
  expect(await app.query('SELECT FROM workflow_engine.model_calls')).toHaveLength(3);
});

test.each([
  ['', 'is empty'],
  ['a\0b', 'contains a NUL character'],
  ['x'.repeat(256), 'has 256 characters: at most 255'],
  ['\ud800', 'half a surrogate pair'],
  [undefined as unknown as string, 'is not a string: it is undefined'],
])('the key %j is refused before anything is started', async (key, problem) => {
  const workflow = async (count: number) => `${count}`;
  // Typed as `start()` is.
  const starting: Promise<{ returnValue: Promise<string> }> = startOnce(workflow, [1], { key });

  await expect(starting).rejects.toThrow(ConfigError);
  await expect(starting).rejects.toThrow(problem);
});

function linesOf({ stdout }: Program): Outcome[] {
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Outcome);
}
