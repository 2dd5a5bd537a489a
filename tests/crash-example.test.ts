import { expect, test } from 'vitest';
import { describeCrash, type CrashOutcome } from '../src/crash/describe.ts';
import { createTestDatabase } from './support/database.ts';
import { areGone, descendantsOf } from './support/processes.ts';
import { run, startCommand } from './support/program.ts';
import { until } from './support/until.ts';

const SCRIPT = ['run', '-s', 'example:postgres-world:crash', '--'];

test('the crash example shows what was reused and what was repeated, and log, ledger and API agree', async () => {
  const database = await createTestDatabase();
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const program = startCommand('npm', [...SCRIPT, '--json', '--topic', 'Tea'], { env });
  await program.says('was killed');
  const processes = await descendantsOf(program.pid);
  const { exitCode, stdout, stderr } = await run(program);

  expect(stderr).toContain('SIMULATED');
  expect(exitCode).toBe(0);
  const outcome = JSON.parse(stdout) as CrashOutcome;
  expect(outcome.run).toMatchObject({ status: 'completed', model: 'simulated', result: { topic: 'Tea' } });
  const reused = { step: expect.stringContaining('research'), fate: 'reused', executions: 1, modelCalls: 1 };
  const repeated = { step: expect.stringContaining('research'), fate: 'repeated', executions: 2, modelCalls: 2 };
  const byFate = outcome.steps.toSorted((a, b) => b.fate.localeCompare(a.fate));
  expect(byFate).toEqual([
    reused,
    repeated,
    repeated,
    { step: 'synthesize', fate: 'begun', executions: 1, modelCalls: 1 },
  ]);
  expect(new Set(outcome.steps.map(({ step }) => step)).size).toBe(4);
  expect(outcome.modelCalls).toEqual({ begun: 6, cutOff: 2 });
  // Counted by the API itself, which knows nothing of steps or of the ledger.
  expect(outcome.apiCalls).toEqual(outcome.modelCalls);
  expect(outcome.wentOnAfterMs).toBeGreaterThan(outcome.killedAfterMs);

  const text = describeCrash(outcome);
  expect(text).toMatch(/^ {2}research \w+ +✓ completed +reused +1 +1$/m);
  expect(text).toMatch(/^ {2}research \w+ +✗ cut off +repeated +2 +2$/m);
  expect(text).toMatch(/^ {2}killed +[\d.]+ s after the start: worker \d+, by SIGKILL$/m);
  expect(text).toMatch(/^ {2}went on +[\d.]+ s later, on worker \d+$/m);

  const executions = await database.query(
    `SELECT count(*)::int AS log, (SELECT count(*) FROM workflow_engine.model_calls)::int AS ledger,
            (SELECT sum(attempt) FROM workflow_steps)::int AS rows
     FROM workflow_events WHERE type = 'step_started'`,
  );
  expect(executions).toEqual([{ log: 6, ledger: 6, rows: 6 }]);
  expect(await database.query('SELECT pid FROM workflow_engine.workers')).toEqual([]);
  await until('no process of it is left', () => areGone(processes), 5_000);
});

test('Ctrl+C in the middle of the crash example leaves no process and no unfinished run behind', async () => {
  const database = await createTestDatabase();
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const program = startCommand('npm', SCRIPT, { env, group: true });
  await program.says('takes it');
  await until('a step is being executed', async () => {
    return (await database.query(`SELECT FROM workflow_steps WHERE status = 'running'`)).length > 0;
  });
  const processes = await descendantsOf(program.pid);
  program.interrupt();
  await program.exited;

  await until('they are all gone', () => areGone(processes), 10_000);
  expect(program.stdout).toBe('');
  expect(program.stderr).not.toContain('    at ');
  expect(await database.query('SELECT status::text FROM workflow_runs')).toEqual([{ status: 'cancelled' }]);
  expect(await database.query('SELECT pid FROM workflow_engine.workers')).toEqual([]);
});

test('the crash example explains itself, and what it was called with wrongly', async () => {
  const help = await run(startCommand('npm', [...SCRIPT, '--help']));
  expect(help.exitCode).toBe(0);
  expect(help.stdout).toContain('--topic TEXT');

  const wrong = await run(startCommand('npm', [...SCRIPT, '--topc', 'Tea']));
  expect(wrong.exitCode).toBe(2);
  expect(wrong.stderr).toMatch(/^Unknown option '--topc'\n\nUsage: /);
});
