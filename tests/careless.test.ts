import { expect, test } from 'vitest';
import { replayRun } from '../src/queue/replay-run.ts';
import { createQueueHandler } from '../src/runtime/handlers.ts';
import { catchLeftBehind } from '../src/runtime/left-behind.ts';
import { runInScope, type Lease, type StepScope } from '../src/runtime/scope.ts';
import { createApplication, type Application } from './support/application.ts';
import { until } from './support/until.ts';

/** Workflow, arguments, how it ends, and what the log says of the run. */
const WORKFLOWS: [workflow: string, args: unknown[], ends: unknown, says?: RegExp | RegExp[]][] = [
  ['reserveThenPriceWorkflow', [300], '300: sold out'],
  ['bothFailWorkflow', [], 'the first'],
  ['raceWorkflow', [], 10],
  [
    'floatingStepWorkflow',
    [],
    'left alone',
    /not looked at the failure of its step reserve \(step_\w+\): .*nobody looked/,
  ],
  ['floatingFunctionWorkflow', [], 'left alone', /not looked at a promise that was rejected: Error: afloat \(at/],
  ['finallyWorkflow', [], 'left alone', [/rejected: (TypeError: out of|Error: in) a finally/, /: 1 more of that$/]],
  ['thenWorkflow', [], 'left alone', /rejected: RangeError: in a then: 1/],
  [
    'failingAnywayWorkflow',
    [],
    expect.stringContaining('its own reason'),
    /failure of its step reserve .*nobody looked at this one/,
  ],
  ['nullWorkflow', [], expect.stringContaining('null'), /rejected: null/],
  ['unspeakableWorkflow', [], 1, [/rejected: \{ message: \[Getter\]/, /: 5 more of that$/]],
  ['floodWorkflow', [1_000], 1, [/rejected: Error: flood 0/, /: 999 more of that$/]],
];

const LEFT_BEHIND = {
  promise: /left a promise to itself, which was rejected: Error: left by promise \(at/,
  'late-promise': /rejected: Error: left by late-promise/,
  timer: /threw where nobody could catch it: Error: left by timer/,
  tick: /nobody could catch it: Error: left by tick/,
  microtask: /nobody could catch it: Error: left by microtask/,
  emitter: /nobody could catch it: Error: left by emitter/,
  socket: /nobody could catch it: Error: connect ECONNREFUSED/,
  signal: /nobody could catch it: Error: left by signal/,
  null: /nobody could catch it: null/,
  flood: [/rejected: Error: left by flood/, /: 499 more of that$/],
};

async function createCarelessApplication(): Promise<Application> {
  const app = await createApplication();
  app.env.TEST_WORKFLOWS = 'careless-workflows.ts';
  return app;
}

test('whatever workflows and steps leave behind, their worker goes on, names them, and a neighbour does not notice', async () => {
  const app = await createCarelessApplication();
  const left = Object.entries(LEFT_BEHIND);
  const runIds = await app.startAll(
    ...WORKFLOWS.map(([workflow, args]): [string, unknown[]] => [workflow, args]),
    ...left.map(([what]): [string, unknown[]] => ['leavingWorkflow', [what]]),
    ['neighbourWorkflow', [20, 100]],
    ['reserveThenPriceWorkflow', [100]],
    ['leavingWorkflow', ['alone']],
  );
  const alone = runIds.at(-1)!;
  // As if workers had died of it: it gets a process of its own.
  await app.query('UPDATE workflow_engine.run_progress SET deaths = 5 WHERE run_id = $1', [alone]);
  const worker = await app.startWorker();

  await Promise.all(runIds.map(app.ended));

  expect(await app.ask('outcomes', ...runIds)).toEqual([
    ...WORKFLOWS.map(([, , ends]) => ends),
    ...left.map(([what]) => what),
    2_000,
    '100: sold out',
    'alone',
  ]);
  // It lives: what it executed, it executed once, and nobody else did.
  expect(await app.query('SELECT DISTINCT deaths FROM workflow_engine.run_progress')).toEqual([{ deaths: 0 }]);
  const executions = await app.executions();
  expect(new Set(executions.map(({ stepId }) => stepId)).size).toBe(executions.length);
  expect(new Set(executions.map(({ pid }) => pid)).size).toBe(2);
  worker.kill('SIGTERM');
  expect(await worker.exited).toBe(0);
  // A run that was parked for a moment says it then, too.
  const lines = worker.stderr.split('\n').filter((line) => !line.includes(' has not yet looked at '));
  const linesOf = (runId: string) => lines.filter((line) => line.startsWith(`Run ${runId}: `));
  const says = [
    ...WORKFLOWS.map(([, , , said = []]) => said),
    ...left.map(([, said]) => said),
    [],
    [],
    /left by alone/,
  ];
  for (const [n, said] of says.entries()) {
    expect(linesOf(runIds[n]!)).toEqual([said].flat().map((pattern) => expect.stringMatching(pattern)));
  }
});

test('a worker ends of an error of its own; the next one catches what nobody had looked at before', async () => {
  const app = await createCarelessApplication();
  const onSignal = `process.on('SIGUSR2', () => { throw new Error('really uncaught') })`;
  const first = await app.startWorker({
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(onSignal)}`,
  });
  const [runId = ''] = await app.start('reserveThenSleepWorkflow', []);
  await first.says(`Run ${runId}: reserveThenSleepWorkflow has not yet looked at the failure of its step reserve`);

  first.kill('SIGUSR2');

  expect(await first.exited).toBe(1);
  expect(first.stderr).toMatch(/Error: really uncaught\n {4}at/);
  await app.startWorker();
  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.ask('result', runId)).toEqual(['sold out']);
});

test('an application keeps its own handlers, for what no run has left behind', async () => {
  const heard: string[] = [];
  const told: string[] = [];
  const scope = (name: string): StepScope =>
    ({
      kind: 'step',
      leftBehind: (kind: string, error: Error) => told.push(`${name} ${kind} ${error.message}`),
    }) as never;
  const reject = (message: string) => void Promise.reject(new Error(message));
  const emit = process.emit;
  // As Node calls it: the handlers of vitest would fail this test.
  const listeners = process.rawListeners('unhandledRejection') as NodeJS.UnhandledRejectionListener[];
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', (error: Error) => heard.push(error.message));
  try {
    const [first, second] = [catchLeftBehind(), catchLeftBehind()];
    runInScope(scope('a'), () => reject('one'));
    reject('two');
    await until('both are known', () => heard.length + told.length === 2);
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    runInScope(scope('b'), () => reject('three'));
    await until('the second World still catches', () => heard.length + told.length === 3);
    second[Symbol.dispose]();
    runInScope(scope('c'), () => reject('four'));
    await until('it is as before', () => heard.length + told.length === 4);
  } finally {
    process.removeAllListeners('unhandledRejection');
    for (const listener of listeners) process.on('unhandledRejection', listener);
  }

  expect(told).toEqual(['a rejected one', 'b rejected three']);
  expect(heard).toEqual(['two', 'four']);
  expect(process.emit).toBe(emit);
});

test('a replay that is broken from outside is given up: it might never come to its end', async () => {
  using _ = catchLeftBehind();
  createQueueHandler('__wkf_workflow_', () => {
    setTimeout(() => {
      throw new Error('in a callback of the runtime');
    });
    return new Promise(() => {});
  });
  const job = { queueName: '__wkf_workflow_workflow//x//y', payload: { runId: 'wrun_1' } } as const;

  const replaying = replayRun('wrun_1', job, { jobId: '1', retryCount: 0 } as Lease, {});

  await expect(replaying).rejects.toThrow('in a callback of the runtime');
});
