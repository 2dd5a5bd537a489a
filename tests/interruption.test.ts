import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createTestDatabase } from './support/database.ts';
import { areGone, descendantsOf, runningClis } from './support/processes.ts';
import { PROJECT, run, startCommand, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

const INDEX = join(PROJECT, 'index.ts');

test('a run whose process was killed is finished by a worker, without repeating a completed step', async () => {
  const database = await createTestDatabase();
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const victim = startProgram(INDEX, ['content'], { env });
  await until('the topics are extracted', async () => {
    const steps = await database.query(`SELECT FROM workflow_steps WHERE status = 'completed'`);
    return steps.length === 2;
  });
  await until(
    'the report is being written',
    async () => (await database.query('SELECT FROM workflow_stream_chunks')).length > 3,
  );
  const clis = await runningClis(victim.pid);
  expect(clis).toHaveLength(1);
  victim.kill('SIGKILL');
  await victim.exited;
  await until('its CLI is gone', () => areGone(clis), 5_000);
  const worker = startProgram(INDEX, ['worker'], { env });
  await worker.says('Worker: takes the runs');

  await until('the run has ended', async () => {
    const [finished] = await database.query<{ status: string }>('SELECT status FROM workflow_runs');
    return finished?.status === 'completed';
  });

  const steps = await database.query<{ name: string; attempt: number }>(
    `SELECT split_part(step_name, '//', 3) AS name, attempt FROM workflow_steps ORDER BY step_id`,
  );
  expect(steps).toEqual([
    { name: 'analyzeSentiment', attempt: 1 },
    { name: 'extractTopics', attempt: 1 },
    { name: 'generateReport', attempt: 2 },
  ]);
});

test('an example that finds unfinished runs says so, and waits only for its own', async () => {
  const database = await createTestDatabase();
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const first = startProgram(INDEX, ['content'], { env });
  await until('its first step is done', async () => {
    return (await database.query(`SELECT FROM workflow_steps WHERE status = 'completed'`)).length === 1;
  });
  first.kill('SIGINT');
  expect(await first.exited).toBe(130);
  expect(first.stderr).toContain('Stopping');

  const second = startProgram(INDEX, ['research'], { env });
  const { exitCode, stderr } = await run(second);

  expect(exitCode).toBe(0);
  expect(stderr).toMatch(
    /1 unfinished run from before; this process works on them, too:\n {2}wrun_\w+ contentAnalysisWorkflow/,
  );
});

test('Ctrl+C hands the work back within 5 s and leaves no process behind', async () => {
  const database = await createTestDatabase();
  const program = startProgram(INDEX, ['research'], { env: { WORKFLOW_POSTGRES_URL: database.url } });
  await until('three CLIs are running', async () => (await runningClis(program.pid)).length === 3);
  const children = await descendantsOf(program.pid);
  const stoppedAt = Date.now();
  program.kill('SIGINT');

  expect(await program.exited).toBe(130);

  expect(Date.now() - stoppedAt).toBeLessThan(5_000);
  await until('they are all gone', () => areGone(children), 1_000);
  const jobs = await database.query<{ state: string }>(
    `SELECT state FROM workflow_queue.job WHERE state < 'completed' AND name LIKE 'workflow_flows%' AND start_after <= now()`,
  );
  expect(jobs).toEqual([{ state: 'created' }]);
});

test('one Ctrl+C in a terminal, which npm and tsx pass on as well, counts once', async () => {
  const database = await createTestDatabase();
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const npm = startCommand('npm', ['run', 'example:postgres-world'], { env, group: true });
  await npm.says('## Summary');
  npm.interrupt();

  await npm.exited;

  expect(npm.stderr).toContain('Stopping … (once more to stop at once)');
  expect(npm.stderr).not.toContain('Stopped at once');
  expect(await database.query(`SELECT FROM workflow_queue.job WHERE state = 'active'`)).toEqual([]);
});

test('when nobody reads the output any more, the work is handed back without a stack trace', async () => {
  const database = await createTestDatabase();
  const program = startProgram(INDEX, ['content'], { env: { WORKFLOW_POSTGRES_URL: database.url } });
  await program.says('## Summary');
  program.closeOutput();

  expect(await program.exited).toBe(141);

  expect(program.stderr).not.toContain('    at ');
  expect(await database.query(`SELECT FROM workflow_queue.job WHERE state = 'active'`)).toEqual([]);
});
