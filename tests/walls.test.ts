import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SPEC_VERSION_CURRENT } from '@workflow/world';
import { expect, onTestFinished, test, vi } from 'vitest';
import { answerApproval } from '../src/cli/approval.ts';
import { answerAttach } from '../src/cli/attach.ts';
import { answerCancel } from '../src/cli/cancel.ts';
import { createOutput } from '../src/cli/output.ts';
import { answerPrune } from '../src/cli/prune.ts';
import { answerRedrive } from '../src/cli/redrive.ts';
import { answerRunStatus, answerStatus } from '../src/cli/status.ts';
import { environmentSchema } from '../src/config/config.ts';
import { nameOfStream } from '../src/streams/run-stream.ts';
import { answerHookOnce, runWorld, stopWorld } from '../world-config.ts';
import { createApplication, type Application } from './support/application.ts';
import { PROJECT } from './support/program.ts';
import { until } from './support/until.ts';

const TOKEN = 'invoice:17';

/** Begins as the other one does. */
const [THEIRS, OURS] = ['app_2_', 'app_'];

/** Everything of runs and jobs, as text. */
async function everything({ query }: Application): Promise<Record<string, string>> {
  const tables = ['runs', 'events', 'steps', 'hooks', 'waits', 'stream_chunks'].map(
    (name) => `workflow.workflow_${name}`,
  );
  const found: Record<string, string> = {};
  for (const table of [...tables, 'workflow_engine.run_progress', 'workflow_engine.start_keys', 'workflow_queue.job']) {
    const [row] = await query<{ all: string }>(
      `SELECT string_agg(t::text, E'\\n' ORDER BY t::text) AS all FROM ${table} t`,
    );
    found[table] = row!.all;
  }
  return found;
}

function applicationOf(jobPrefix: string, database?: Application): Promise<Application> {
  return createApplication(
    (url) => ({ WORKFLOW_POSTGRES_URL: url, WORKFLOW_POSTGRES_JOB_PREFIX: jobPrefix }),
    database,
  );
}

test('what belongs to one job prefix cannot be found, listed, answered or changed from another, by no command and no function', async () => {
  const theirs = await applicationOf(THEIRS);
  await theirs.startWorker();
  const [waiting = '', failed = '', streamed = ''] = await theirs.startAll(
    ['parkedWorkflow', [TOKEN]],
    ['failingWorkflow', []],
    ['streamingWorkflow', [['a', 'b'], 1]],
  );
  await theirs.ended(failed);
  await theirs.ended(streamed);
  await until('it waits', async () => (await theirs.query('SELECT FROM workflow_hooks')).length === 1);
  await until('nobody works', async () => {
    const open = `SELECT FROM workflow_queue.job WHERE state <= 'active'`;
    return (await theirs.query(open)).length === 0;
  });
  const [{ hook_id: hookId, step_id: stepId }] = (await theirs.query(
    `SELECT hook_id, step_id FROM workflow_hooks JOIN workflow_steps USING (run_id)`,
  )) as [{ hook_id: string; step_id: string }];
  const [{ id: eventId }] = (await theirs.query('SELECT id FROM workflow_events WHERE run_id = $1', [waiting])) as [
    { id: string },
  ];
  const before = await everything(theirs);

  const log: string[] = [];
  const us = await runWorld({
    connectionString: theirs.url,
    jobPrefix: OURS,
    model: 'simulated',
    worker: false,
    workflowFiles: [],
    log: (line) => log.push(line),
  });
  onTestFinished(() => stopWorld());
  // As compiling does, in processes that have workflows.
  vi.stubEnv('WORKFLOW_TARGET_WORLD', join(PROJECT, 'src/runtime/current-world.ts'));
  const { getRun, getHookByToken, resumeHook } = await import('workflow/api');
  const { world } = us;
  const output = createOutput(true);
  const { signal: stopping } = new AbortController();
  const stream = nameOfStream(streamed);
  const specVersion = SPEC_VERSION_CURRENT;
  const queued = { queueName: '__wkf_workflow_w' as const, payload: { runId: waiting } };

  const refused: Record<string, () => Promise<unknown>> = {
    status: () => answerRunStatus(us, waiting),
    attach: () => answerAttach(us, { runId: streamed, from: 0, output, stopping }),
    approve: () => answerApproval(us, waiting, { approved: true }),
    cancel: () => answerCancel(us, waiting),
    redrive: () => answerRedrive(us, failed),
    answerHookOnce: () => answerHookOnce(TOKEN, 1),
    resumeHook: () => resumeHook(TOKEN, 1),
    getHookByToken: () => getHookByToken(TOKEN),
    'getRun().cancel': () => getRun(waiting).cancel(),
    'getRun().status': () => getRun(waiting).status,
    'getRun().returnValue': () => getRun(streamed).returnValue,
    'runs.get': () => world.runs.get(waiting),
    'steps.get': () => world.steps.get(waiting, stepId),
    'steps.get without a run': () => world.steps.get(undefined, stepId),
    'events.get': () => world.events.get(waiting, eventId),
    'events.create': () => world.events.create(waiting, { eventType: 'run_cancelled', specVersion }),
    'events.create of a step': () =>
      world.events.create(waiting, { eventType: 'step_started', specVersion, correlationId: stepId }),
    'events.create of an answer': () =>
      world.events.create(waiting, {
        eventType: 'hook_received',
        specVersion,
        correlationId: hookId,
        eventData: { token: TOKEN, payload: new Uint8Array() },
      }),
    'hooks.get': () => world.hooks.get(hookId),
    'hooks.getByToken': () => world.hooks.getByToken(TOKEN),
    queue: () => world.queue(queued.queueName, queued.payload),
    readFromStream: () => world.readFromStream(stream),
    writeToStream: () => world.writeToStream(stream, streamed, 'x'),
    'writeToStream in the name of another run': () => world.writeToStream(stream, 'wrun_0', 'x'),
    writeToStreamMulti: () => world.writeToStreamMulti!(stream, streamed, ['x']),
    closeStream: () => world.closeStream(stream, streamed),
    getStreamChunks: () => world.getStreamChunks(stream, streamed),
    getStreamInfo: () => world.getStreamInfo(stream, streamed),
  };
  for (const [name, attempt] of Object.entries(refused)) {
    const waited = delay(3_000, 'it waited', { ref: false });
    const outcome = await Promise.race([attempt(), waited]).then(
      (value) => `it worked: ${JSON.stringify(value)}`,
      (error: Error) => error.message,
    );
    expect.soft(outcome, name).toMatch(/not found|There is no run|No run waits/i);
  }

  // As of a run that is not there yet: it is waited for.
  const reading = getRun(streamed).getReadable().getReader().read();
  expect(await Promise.race([reading, delay(500, 'it waits')])).toBe('it waits');

  const listed: Record<string, () => Promise<unknown[]>> = {
    'runs.list': async () => (await world.runs.list()).data,
    'steps.list': async () => (await world.steps.list({ runId: waiting })).data,
    'events.list': async () => (await world.events.list({ runId: waiting })).data,
    'events.listByCorrelationId': async () => (await world.events.listByCorrelationId({ correlationId: hookId })).data,
    'hooks.list': async () => (await world.hooks.list({})).data,
    'hooks.list of the run': async () => (await world.hooks.list({ runId: waiting })).data,
    listStreamsByRunId: () => world.listStreamsByRunId(streamed),
    findUnfinishedRuns: () => us.findUnfinishedRuns(),
    status: async () => ((await answerStatus(us, 10)).document as { runs: unknown[]; workers: unknown[] }).runs,
    'status, of the workers': async () => ((await answerStatus(us, 10)).document as { workers: unknown[] }).workers,
  };
  for (const [name, list] of Object.entries(listed)) expect.soft(await list(), name).toEqual([]);

  const pruned = await answerPrune(us, { olderThanSeconds: 0, dryRun: false }, stopping);
  expect(pruned.document).toMatchObject({ removed: { runs: 0, events: 0, jobs: 0, streamChunks: 0 }, keptRuns: 0 });
  expect(await everything(theirs)).toEqual(before);

  // Both wait on the same token at the same time, and each is answered by its own.
  const ours = await applicationOf(OURS, theirs);
  await ours.startWorker();
  const [own = ''] = await ours.start('parkedWorkflow', [TOKEN]);
  await until('both wait', async () => (await ours.query('SELECT FROM workflow_hooks')).length === 2);
  expect((await world.runs.list({ resolveData: 'none' })).data).toEqual([expect.objectContaining({ runId: own })]);
  expect((await world.hooks.list({})).data).toEqual([expect.objectContaining({ runId: own, token: TOKEN })]);
  expect(await answerHookOnce(TOKEN, 1)).toEqual({ runId: own });
  expect(await ours.ended(own)).toEqual({ status: 'completed' });
  expect(await theirs.query('SELECT status::text FROM workflow_runs WHERE id = $1', [waiting])).toEqual([
    { status: 'running' },
  ]);
  await theirs.ask('answer', TOKEN, '[1]');
  expect(await theirs.ended(waiting)).toEqual({ status: 'completed' });

  // Within an application, a token is one run's.
  const [first = ''] = await ours.start('parkedWorkflow', [TOKEN]);
  await until('it waits', async () => (await ours.query('SELECT FROM workflow_hooks')).length === 1);
  const [second = ''] = await ours.start('parkedWorkflow', [TOKEN]);
  expect(await ours.ended(second)).toEqual({ status: 'failed' });
  await answerHookOnce(TOKEN, 1);
  expect(await ours.ended(first)).toEqual({ status: 'completed' });

  // Also at the same moment: each has looked for the token before another one has committed it.
  await ours.query(`
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$;
    CREATE TRIGGER dawdle BEFORE INSERT ON workflow.workflow_hooks FOR EACH ROW EXECUTE FUNCTION dawdle()`);
  const racing = await Promise.all([theirs, ours].map((app) => app.start('parkedWorkflow', [TOKEN], 3)));
  const told = () =>
    ours.query<{ run_id: string; type: string }>(
      `SELECT run_id, type FROM workflow_events WHERE type IN ('hook_created', 'hook_conflict') AND run_id = ANY ($1)`,
      [racing.flat()],
    );
  await until('each knows whose it is', async () => (await told()).length === 6);
  const holders = (await told()).filter(({ type }) => type === 'hook_created').map((event) => event.run_id);
  // One for each application.
  expect(holders).toHaveLength(2);
  for (const runIds of racing) expect(runIds).toContainEqual(expect.toBeOneOf(holders));
});

test('a job prefix whose queues would be named as those of another is refused', () => {
  for (const prefix of ['a_flows.b_', 'steps.']) {
    expect(environmentSchema.safeParse({ WORKFLOW_POSTGRES_JOB_PREFIX: prefix }).error?.message).toContain('flows.');
  }
});
