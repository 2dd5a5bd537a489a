import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createApplication, type Application } from '../support/application.ts';
import { PROJECT, run, startProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const MINUTES = 60_000;
const PROCESS = join(PROJECT, 'tests/fixtures/process.ts');

/** How much a wait may be longer than asked for: whole seconds of the queue, and a busy machine. */
const LATE_MS = 8_000;
/** The clock of the database is known to half a round trip. */
const ROUND_TRIP_MS = 50;

/** What lasts from an event of the log to the next one of that kind. */
const ENDS: Record<string, string> = { wait_created: 'wait_completed', step_retrying: 'step_started' };

interface LoggedEvent {
  id: string;
  type: string;
  subject: string | null;
  at: number;
}

/** What makes a process believe that it is later, or earlier, than it is. */
function clockWrongBy(shiftMs: number): Record<string, string> {
  const preload = join(PROJECT, 'tests/fixtures/shifted-clock.ts');
  return {
    NODE_OPTIONS: `--import ${preload}`,
    TEST_CLOCK_SHIFT_MS: String(shiftMs),
    TEST_WORKFLOWS: 'clock-workflows.ts',
  };
}

async function ask<T>({ env }: Application, shiftMs: number, ...args: string[]): Promise<T> {
  const program = startProgram(PROCESS, args, { env: { ...env, ...clockWrongBy(shiftMs) } });
  const { exitCode, stdout, stderr } = await run(program);
  if (exitCode !== 0) throw new Error(`${args[0]} ended with ${exitCode}:\n${stderr}`);
  return stdout ? (JSON.parse(stdout) as T) : (undefined as T);
}

function readLog({ query }: Application, runId: string): Promise<LoggedEvent[]> {
  return query(
    `SELECT id, type, correlation_id AS subject, (extract(epoch FROM created_at) * 1000)::float8 AS at
     FROM workflow_events WHERE run_id = $1 ORDER BY id`,
    [runId],
  );
}

/** Times never go back, and everything that was to last for `waitMs` did, by the clock of the database. */
function expectTimesKept(log: readonly LoggedEvent[], waitMs: number): void {
  const times = log.map(({ at }) => at);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  const pauses = log.flatMap(({ type, subject, at }, index) => {
    const end = ENDS[type];
    if (end === undefined) return [];
    const ended = log.slice(index).find((event) => event.type === end && event.subject === subject);
    return [ended ? ended.at - at : NaN];
  });
  expect(pauses).toHaveLength(3);
  for (const pause of pauses) {
    expect(pause).toBeGreaterThanOrEqual(waitMs - ROUND_TRIP_MS);
    expect(pause).toBeLessThan(waitMs + LATE_MS);
  }
}

/** What the workflow's own clock showed: the same as the log, and never another machine's. */
function expectClockOf(log: readonly LoggedEvent[], seen: readonly number[]): void {
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  for (const time of seen) expect(log.some(({ at }) => Math.abs(at - time) <= 1)).toBe(true);
}

async function expectNoLeaseLost({ query }: Application): Promise<void> {
  expect(await query('SELECT name, singleton_key FROM workflow_queue.job WHERE retry_count > 0')).toEqual([]);
  expect(await query('SELECT step_id FROM workflow_engine.step_progress WHERE interruptions > 0')).toEqual([]);
  expect(await query('SELECT run_id FROM workflow_engine.run_progress WHERE deaths > 0')).toEqual([]);
}

describe('when the clock of a worker is wrong', () => {
  const waitMs = 3_000;

  test('sleeps and retries last as long as they would anywhere, be it two minutes ahead or behind', async () => {
    const onOneWorker = async (shiftMs: number) => {
      const app = await createApplication();
      const parameters = JSON.stringify([waitMs]);
      const [[runId = '']] = await Promise.all([
        ask<string[]>(app, shiftMs, 'start', 'patientWorkflow', parameters),
        app.startWorker(clockWrongBy(shiftMs)),
      ]);
      expect(await app.ended(runId)).toEqual({ status: 'completed' });
      expectTimesKept(await readLog(app, runId), waitMs);
      await expectNoLeaseLost(app);
    };
    await Promise.all([onOneWorker(2 * MINUTES), onOneWorker(-2 * MINUTES)]);
  });

  test.for([
    ['ahead', 'behind', 2 * MINUTES],
    ['behind', 'ahead', -2 * MINUTES],
  ] as const)(
    'a run that began on a worker two minutes %s goes on in time on one two minutes %s',
    async ([, , shiftMs]) => {
      const app = await createApplication();
      const first = await app.startWorker(clockWrongBy(shiftMs));
      const [runId = ''] = await ask<string[]>(app, 0, 'start', 'patientWorkflow', JSON.stringify([waitMs]));
      await until('the run sleeps, and its step is to be tried again', async () => {
        const types = new Set((await readLog(app, runId)).map(({ type }) => type));
        return types.has('wait_created') && types.has('step_retrying');
      });
      first.kill('SIGTERM');
      await app.startWorker(clockWrongBy(-shiftMs));
      expect(await app.ended(runId)).toEqual({ status: 'completed' });

      const log = await readLog(app, runId);
      expectTimesKept(log, waitMs);
      expectClockOf(log, await ask<number[]>(app, 0, 'result', runId));
      await expectNoLeaseLost(app);
      // Nobody asked again and again whether it was time.
      const [{ jobs } = { jobs: NaN }] = await app.query<{ jobs: number }>(
        'SELECT count(*)::integer AS jobs FROM workflow_queue.job',
      );
      expect(jobs).toBeLessThan(15);
    },
  );
});

test('a worker keeps its run when its clock is set right, two minutes forward, in the middle of a step', async () => {
  const app = await createApplication();
  const [worker, [runId = '']] = await Promise.all([
    app.startWorker(clockWrongBy(-2 * MINUTES)),
    // Longer than it takes a worker to look twice at when it last heard of its leases.
    ask<string[]>(app, 0, 'start', 'lastingWorkflow', '[8000]'),
  ]);
  await until('the step is being executed', async () => (await app.executions()).length > 0);
  worker.kill('SIGUSR2');
  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.executions()).toHaveLength(1);
  await expectNoLeaseLost(app);
});

test('workers whose clocks are four minutes apart share runs: steps, sleeps, retries and hooks (vercel/workflow #2331, #2714)', async () => {
  const waitMs = 2_000;
  const app = await createApplication();
  const shifts = [2 * MINUTES, 0, -2 * MINUTES];
  const slots = { WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '2' };
  await Promise.all(shifts.map((shiftMs) => app.startWorker({ ...clockWrongBy(shiftMs), ...slots })));

  const begin = (shiftMs: number, asks: boolean, count: number) =>
    ask<string[]>(app, shiftMs, 'start', 'busyWorkflow', JSON.stringify([waitMs, asks]), String(count));
  const [asking, others] = await Promise.all([
    Promise.all(shifts.map((shiftMs) => begin(shiftMs, true, 1))),
    begin(0, false, 9),
  ]);
  for (const [index, [runId = '']] of asking.entries()) {
    await until(`${runId} waits for its hook`, async () => {
      return (await app.query('SELECT FROM workflow_hooks WHERE token = $1', [`hook-${runId}`])).length > 0;
    });
    await ask(app, shifts[(index + 1) % 3]!, 'resume', `hook-${runId}`, '"go on"');
  }

  for (const runId of [...asking.flat(), ...others]) {
    expect(await app.ended(runId)).toEqual({ status: 'completed' });
    expectTimesKept(await readLog(app, runId), waitMs);
  }
  const [runId = ''] = asking[0]!;
  const result = await ask<{ sum: number; seen: number[] }>(app, 0, 'result', runId);
  expect(result.sum).toBe(28);
  expectClockOf(await readLog(app, runId), result.seen);
  await expectNoLeaseLost(app);
  const drivenByMany = await app.query('SELECT run_id FROM executions GROUP BY run_id HAVING count(DISTINCT pid) > 1');
  expect(drivenByMany.length).toBeGreaterThan(3);
}, 180_000);
