import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createApplication } from './support/application.ts';
import { createTestDatabase } from './support/database.ts';
import { areGone, descendantsOf, runningClis } from './support/processes.ts';
import { PROJECT, run, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

const INDEX = join(PROJECT, 'index.ts');

interface Document {
  runs: { runId: string; workflow: string; status: string; durationMs: number; model: string; result: never }[];
}

/** Both workflows begun by a process that takes no work, so that another one does it all. */
test('both workflows run from start to finish on a worker in another process', async () => {
  const app = await createApplication();
  const worker = startProgram(INDEX, ['worker'], { env: app.env });
  await worker.says('Worker: takes the runs');
  const exampleOnly = { ...app.env, TEST_WORKFLOWS: '../../workflow-example.ts' };
  Object.assign(app.env, exampleOnly);
  const content = 'I love the new release. It is fast and reliable. The old one had bugs.';
  const [[analysis = ''], [research = '']] = await Promise.all([
    app.start('contentAnalysisWorkflow', [content]),
    app.start('multiAgentResearchWorkflow', ['Quantum Computing']),
  ]);

  // A third process reads the report while the worker writes it, and a fourth one only its end.
  const chunks = await app.ask<{ attempt: number; text: string }>('read', analysis);
  await Promise.all([app.ended(analysis), app.ended(research)]);
  const [result] = await app.ask<Record<string, unknown>>('result', analysis);
  const [findings] = await app.ask<Record<string, unknown>>('result', research);

  expect(result).toEqual({
    content,
    sentiment: { score: expect.any(Number), label: 'positive', reasoning: expect.any(String) },
    topics: expect.arrayContaining(['release']),
    report: expect.stringContaining('I love the new release.'),
    completedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    workflowId: analysis,
    model: 'simulated',
  });
  expect(chunks.map(({ text }) => text).join('')).toBe(result?.report);
  expect(chunks.length).toBeGreaterThan(10);
  expect(await app.ask('read', analysis, '3')).toEqual(chunks.slice(3));
  expect(findings).toEqual({
    topic: 'Quantum Computing',
    findings: {
      technical: expect.stringContaining('technical side of Quantum Computing'),
      business: expect.stringContaining('business side of Quantum Computing'),
      ethical: expect.stringContaining('ethical side of Quantum Computing'),
    },
    synthesis: expect.stringContaining('Quantum Computing'),
    completedAt: expect.any(String),
    model: 'simulated',
  });
  const [wait] = await app.query<{ seconds: number }>(
    'SELECT extract(epoch FROM completed_at - created_at)::float AS seconds FROM workflow_waits',
  );
  // The row of a finished run's wait is removed; its events stay.
  expect(wait).toBeUndefined();
  const [slept] = await app.query<{ seconds: number }>(
    `SELECT extract(epoch FROM max(created_at) - min(created_at))::float AS seconds FROM workflow_events
     WHERE type IN ('wait_created', 'wait_completed')`,
  );
  expect(slept?.seconds).toBeGreaterThanOrEqual(2.9);
});

test('with --json, stdout is one document for both runs and nothing else', async () => {
  const database = await createTestDatabase();
  const options = { env: { WORKFLOW_POSTGRES_URL: database.url }, input: 'A good day. A great success!' };
  const program = startProgram(INDEX, ['both', '--json', '--input', '-', '--topic', 'Tea'], options);
  const { exitCode, stdout } = await run(program);

  expect(exitCode).toBe(0);
  const { runs } = JSON.parse(stdout) as Document;
  expect(runs).toEqual([
    {
      runId: expect.stringMatching(/^wrun_/),
      workflow: 'contentAnalysisWorkflow',
      status: 'completed',
      durationMs: expect.any(Number),
      model: 'simulated',
      result: expect.objectContaining({ content: options.input, workflowId: runs[0]?.runId }),
    },
    expect.objectContaining({
      workflow: 'multiAgentResearchWorkflow',
      status: 'completed',
      result: expect.objectContaining({ topic: 'Tea' }),
    }),
  ]);
});

test('the report of the text in a file is shown as it is written, then the result', async () => {
  const database = await createTestDatabase();
  const directory = await mkdtemp(join(tmpdir(), 'postgres-world-test-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, 'text.txt');
  await writeFile(file, 'The zeppelin was late. The zeppelin was beautiful.');
  const program = startProgram(INDEX, ['--input', file], { env: { WORKFLOW_POSTGRES_URL: database.url } });

  await program.says('## Summary');
  expect(program.stdout).not.toContain('completed');
  const { exitCode, stdout, stderr } = await run(program);

  expect(exitCode).toBe(0);
  expect(stdout).toContain('zeppelin: “The zeppelin was late.”');
  expect(stdout).toMatch(/✓ contentAnalysisWorkflow completed in [\d.]+ s \(run wrun_\w+, answers SIMULATED\)/);
  expect(stderr).toContain('SIMULATED');
});

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
    /1 unfinished run from before, which this process finishes beside its own:\n {2}wrun_\w+ contentAnalysisWorkflow/,
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

test('a worker without a login to Claude does not start, says what to do, and takes no job', async () => {
  const app = await createApplication();
  const [runId] = await app.start('sequenceWorkflow', [1]);
  const env = { ...app.env, WORKFLOW_MODEL: '', HOME: '/nonexistent', CLAUDE_CONFIG_DIR: '/nonexistent' };
  const { exitCode, stderr, stdout } = await run(startProgram(INDEX, ['worker'], { env }));

  expect(exitCode).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toContain('npm run claude:login');
  expect(await app.query('SELECT id, status::text FROM workflow_runs')).toEqual([{ id: runId, status: 'pending' }]);
});

test('wrong usage ends with 2 and one clear line', async () => {
  for (const [args, message] of [
    [['analyse'], 'There is no mode "analyse"'],
    [['--frobnicate'], "Unknown option '--frobnicate'"],
    [['research', '--input', 'x'], '--input is for the modes content and both'],
  ] as const) {
    const { exitCode, stdout, stderr } = await run(startProgram(INDEX, [...args]));
    expect(exitCode).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  }
});

test('a database without the schema is answered with the command that sets it up', async () => {
  const database = await createTestDatabase({ setUp: false });
  const { exitCode, stderr } = await run(startProgram(INDEX, [], { env: { WORKFLOW_POSTGRES_URL: database.url } }));

  expect(exitCode).toBe(1);
  expect(stderr).toContain('npm run postgres-world:setup');
  expect(stderr).not.toContain('    at ');
  expect(await database.query(`SELECT FROM pg_namespace WHERE nspname LIKE 'workflow%'`)).toEqual([]);
});
