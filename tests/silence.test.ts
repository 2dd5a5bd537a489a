import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { every } from '../src/health/every.ts';
import { createHealth } from '../src/health/health.ts';
import { createAwaitServer } from '../src/postgres/await-server.ts';
import { explainConnection } from '../src/postgres/explain-connection.ts';
import { checkDatabase } from '../src/postgres/setup.ts';
import { createApplication } from './support/application.ts';
import { createRole, createTestDatabase } from './support/database.ts';
import { PROJECT, run, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

const failure = (code: string, message: string) => Object.assign(new Error(message), { code });

test('a worker whose role loses rights says which, is not healthy after ten seconds, shows it in status, and goes on by itself', async () => {
  const database = await createTestDatabase();
  const role = await createRole(database);
  for (const statement of (await checkDatabase(role.url, 'workflow_queue')).missingRights)
    await database.query(statement);
  const app = await createApplication(() => ({ WORKFLOW_POSTGRES_URL: role.url }), database);
  await database.query(`GRANT ALL ON executions TO ${role.name}`);
  const worker = startProgram(join(PROJECT, 'tests/fixtures/process.ts'), ['health'], { env: app.env });
  await worker.says('"healthy":true');
  const lostAt = Date.now();
  // What the sweep reads, and what every fetch writes.
  await database.query(`REVOKE SELECT ON workflow_engine.run_progress FROM ${role.name}`);
  await database.query(`REVOKE UPDATE ON workflow_queue.job_common FROM ${role.name}`);

  const lacks = (table: string) => `lacks a privilege: permission denied for table ${table}. See: npm run`;
  await worker.says(lacks('run_progress'));
  await worker.says(lacks('job_common'));
  await worker.says('"healthy":false');
  expect(Date.now() - lostAt).toBeGreaterThan(9_000);
  const status = (...args: string[]) =>
    run(startProgram(join(PROJECT, 'index.ts'), ['status', ...args], { env: { WORKFLOW_POSTGRES_URL: database.url } }));
  await until('the worker has told the database', async () => {
    const [row] = await database.query<{ troubles: unknown[] }>('SELECT troubles FROM workflow_engine.workers');
    return row!.troubles.length >= 3;
  });
  const [json, text] = await Promise.all([status('--json'), status()]);
  const { workers } = JSON.parse(json.stdout) as { workers: { troubles: { task: string; since: string }[] }[] };
  expect(workers[0]!.troubles).toContainEqual({
    task: 'The sweep',
    reason: 'permission denied for table run_progress',
    since: expect.any(String) as string,
    failures: expect.any(Number) as number,
  });
  expect(workers[0]!.troubles.map(({ task }) => task)).toContain('Fetching runs');
  expect(Math.abs(Date.parse(workers[0]!.troubles[0]!.since) - lostAt)).toBeLessThan(10_000);
  expect(text.stdout).toMatch(/⚠ The sweep fails: \d+ times in .*\n {4}permission denied for table run_progress/);

  const said = worker.stdout.length;
  await database.query(`GRANT SELECT ON workflow_engine.run_progress TO ${role.name}`);
  await database.query(`GRANT UPDATE ON workflow_queue.job_common TO ${role.name}`);
  await until('it is healthy again', () => worker.stdout.slice(said).includes('"healthy":true'));
  expect(worker.stderr.match(/⚠/g)).toHaveLength(2);
  expect(worker.stderr.match(/✓ The role has the privilege again, after \d+ s\./g)).toHaveLength(2);
  const [runId = ''] = await app.start('sequenceWorkflow', [1]);
  expect(await app.ended(runId)).toEqual({ status: 'completed' });
});

test.each([
  [
    '53100',
    'No space left on device',
    /^The disk of the PostgreSQL server is full: No space .*\n {2}Make room on it\.$/,
  ],
  ['53200', 'out of memory', /^The PostgreSQL server is out of memory: .*\n {2}Give it more/],
  ['53300', 'sorry, too many clients already', /no connection left: sorry, too many .*\n {2}Raise its max_connections/],
  ['57014', 'canceling statement', /has cancelled a statement: .*\n {2}Raise the statement_timeout of the role\.$/],
  ['25006', 'cannot execute INSERT', /is read-only, as a standby is: .*\n {2}Promote it, or let WORKFLOW_POSTGRES_URL/],
  ['57P03', 'the database system is starting up', /^PostgreSQL is not ready: .*\n {2}It starts, recovers or stops/],
])('a command that meets %s says what is wrong and what to do', (code, message, says) => {
  const cause = failure(code, message);
  expect(explainConnection(cause, 'WORKFLOW_POSTGRES_URL')).toMatch(says);
  // As drizzle wraps it.
  expect(explainConnection(new Error('Failed query: …', { cause }), 'WORKFLOW_POSTGRES_URL')).toMatch(says);
});

describe('what fails again and again', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('is said at once, then once a minute with a count, and when it is well', async () => {
    const lines: string[] = [];
    const health = createHealth((line) => lines.push(line));
    let isBroken = true;
    using _sweep = every(500, health.of('The sweep'), async () => {
      if (isBroken) throw failure('42703', 'column "wake" does not exist');
    });
    await vi.advanceTimersByTimeAsync(9_000);
    expect(lines).toEqual(['⚠ The sweep fails: column "wake" does not exist. It is tried again.']);
    expect(health.healthy).toBe(true);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(health.healthy).toBe(false);
    await vi.advanceTimersByTimeAsync(110_000);
    isBroken = false;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(lines.slice(1)).toEqual([
      '⚠ The sweep fails: column "wake" does not exist. It is tried again. (for 60 s, 121 times)',
      '⚠ The sweep fails: column "wake" does not exist. It is tried again. (for 120 s, 241 times)',
      '✓ The sweep works again, after 121 s.',
    ]);
    expect(health.troubles).toEqual([]);
    expect(health.healthy).toBe(true);
  });

  test('is one line for a database that is away, whatever needs it, until all of it is well', async () => {
    const lines: string[] = [];
    const health = createHealth((line) => lines.push(line));
    const tasks = ['The sweep', 'Fetching runs', 'The health check'].map(health.of);
    for (let n = 0; n < 10; n += 1) {
      tasks[0]!.failed(failure('57P01', 'terminating connection due to administrator command'));
      tasks[1]!.failed(failure('ECONNREFUSED', 'connect ECONNREFUSED'));
      tasks[2]!.failed(new Error('Failed query', { cause: failure('57P03', 'the database system is starting up') }));
    }
    // Of one cause or another: it is not well before it is.
    tasks[0]!.failed(failure('42501', 'permission denied for table run_progress'));
    tasks[0]!.failed(failure('ECONNREFUSED', 'connect ECONNREFUSED'));
    expect(lines.splice(1)).toEqual([expect.stringContaining('lacks a privilege')]);
    await vi.advanceTimersByTimeAsync(3_000);
    for (const task of tasks) task.worked();
    expect(lines).toEqual([
      '⚠ PostgreSQL does not answer: terminating connection due to administrator command. It is waited for.',
      '✓ PostgreSQL answers again, after 3.0 s.',
    ]);
  });

  test('and comes and goes is not said each time, unless it lasts', async () => {
    const lines: string[] = [];
    const task = createHealth((line) => lines.push(line)).of('The sweep');
    for (let n = 0; n < 20; n += 1) {
      task.failed(failure('40P01', 'deadlock detected'));
      await vi.advanceTimersByTimeAsync(500);
      task.worked();
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(lines).toHaveLength(2);
    task.failed(failure('40P01', 'deadlock detected'));
    await vi.advanceTimersByTimeAsync(11_000);
    task.failed(failure('40P01', 'deadlock detected'));
    expect(lines[2]).toContain('(for 11 s, 2 times)');
  });

  test('and hangs is noticed, overtaken, and not taken for what it finds out too late', async () => {
    const lines: string[] = [];
    const health = createHealth((line) => lines.push(line));
    const fails: ((error: Error) => void)[] = [];
    using _refresh = every(3_000, health.of('The refresh'), () => new Promise((_, reject) => fails.push(reject)), {
      overtakeAfterMs: 5_000,
    });
    await vi.advanceTimersByTimeAsync(9_000);
    expect(fails).toHaveLength(2);
    fails[0]!(failure('42501', 'too late'));
    await vi.advanceTimersByTimeAsync(1);
    expect(lines).toEqual([]);
    using _look = every(1_000, health.of('The look'), () => new Promise(() => {}));
    await vi.advanceTimersByTimeAsync(11_000);
    expect(lines).toEqual(['⚠ PostgreSQL does not answer: no answer for 10 s. It is waited for.']);
    expect(health.healthy).toBe(false);
  });
});

describe('who begins before the database is ready', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const STARTING = failure('57P03', 'the database system is starting up');
  const REFUSED = failure('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:5432');
  const WRONG = failure('28P01', 'password authentication failed');
  const RESET = new Error('Connection terminated unexpectedly');
  const CROWDED = failure('53300', 'sorry, too many clients already');
  const FULL = failure('53100', 'No space left on device');
  const STANDBY = failure('25006', 'cannot execute INSERT in a read-only transaction');

  test.each([
    { who: 'a worker', what: 'starts', errors: [STARTING], waitsSeconds: 60 },
    { who: 'a worker', what: 'is not there', errors: [REFUSED], waitsSeconds: 60 },
    { who: 'a worker', what: 'knows another password', errors: [WRONG], waitsSeconds: 0 },
    { who: 'a worker', what: 'has no room', errors: [FULL], waitsSeconds: 0 },
    { who: 'a command', what: 'starts', errors: [STARTING], waitsSeconds: 15 },
    { who: 'a command', what: 'hangs up', errors: [RESET], waitsSeconds: 15 },
    { who: 'a command', what: 'has no connection left', errors: [CROWDED], waitsSeconds: 15 },
    { who: 'a command', what: 'is not there', errors: [REFUSED], waitsSeconds: 0 },
    { who: 'a command', what: 'is a standby', errors: [STANDBY], waitsSeconds: 0 },
    { who: 'a command', what: 'restarts, and for a moment is not there', errors: [RESET, REFUSED], waitsSeconds: 15 },
  ])('$who waits $waitsSeconds s for a server that $what', async ({ who, errors, waitsSeconds }) => {
    const lines: string[] = [];
    const awaitServer = createAwaitServer({ waitsForDatabase: who === 'a worker', log: (line) => lines.push(line) });
    let asked = 0;
    const began = performance.now();
    const outcome = awaitServer(() => Promise.reject(errors[Math.min(asked++, errors.length - 1)]!)).then(
      () => undefined,
      (error: Error) => ({ error, afterMs: performance.now() - began }),
    );
    await vi.advanceTimersByTimeAsync(70_000);
    const { error, afterMs } = (await outcome)!;
    expect(error).toBe(errors.at(-1));
    expect(Math.floor(afterMs / 1_000)).toBe(waitsSeconds);
    expect(lines).toHaveLength(waitsSeconds > 0 ? 1 : 0);
  });
});
