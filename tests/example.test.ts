import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createApplication } from './support/application.ts';
import { createTestDatabase } from './support/database.ts';
import { PROJECT, run, startProgram } from './support/program.ts';

const INDEX = join(PROJECT, 'index.ts');

interface Document {
  runs: {
    runId: string;
    workflow: string;
    status: string;
    durationMs: number;
    model: string;
    usage: object;
    result: never;
  }[];
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
  const program = startProgram(INDEX, ['both', '--json', '--verbose', '--input', '-', '--topic', 'Tea'], options);
  const { exitCode, stdout, stderr } = await run(program);

  expect(exitCode).toBe(0);
  // --verbose: the queue and the provider say what they do, in the log.
  expect(stderr).toMatch(/^Run wrun_\w+: taken \(delivery 1\)$/m);
  expect(stderr).toMatch(/^Step step_\w+: executing analyzeSentiment of wrun_\w+$/m);
  expect(stderr).toMatch(/^Step step_\w+: Claude Code: .*model: sonnet$/m);
  const { runs } = JSON.parse(stdout) as Document;
  expect(runs).toEqual([
    {
      runId: expect.stringMatching(/^wrun_/),
      workflow: 'contentAnalysisWorkflow',
      status: 'completed',
      durationMs: expect.any(Number),
      model: 'simulated',
      usage: {
        calls: 3,
        openCalls: 0,
        cutOffCalls: 0,
        models: ['sonnet'],
        simulated: true,
        inputTokens: expect.any(Number),
        cachedTokens: 0,
        outputTokens: expect.any(Number),
        costUsd: expect.any(Number),
      },
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
  expect(stdout).toMatch(/✓ contentAnalysisWorkflow completed in [\d.]+ s/);
  const runId = /^ {2}run +(wrun_\w+)$/m.exec(stdout)?.[1];
  expect(stdout).toContain('SIMULATED');
  expect(stdout).toMatch(/^ {2}tokens +[\d,]+ in, [\d,]+ out, 3 calls$/m);
  expect(stdout).toMatch(/^ {2}cost +\$\d\.\d{4} if it were real; nothing was paid$/m);
  expect(stdout).toContain(`npm run postgres-world:status -- ${runId}`);
  expect(stderr).toContain('SIMULATED');
  // Nobody is watching: no progress.
  expect(stderr).not.toContain('analyzeSentiment');
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
