import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { encode } from '../src/postgres/event-rows.ts';
import { withClient } from '../src/postgres/with-client.ts';
import { groupOrphans } from '../src/queue/orphaned-jobs.ts';
import { createApplication, type Application } from './support/application.ts';
import { createRandom } from './support/random.ts';
import { cpuSeconds } from './support/resources.ts';
import { until } from './support/until.ts';

const FLOWS = '__wkf_workflow_workflow//./tests/fixtures/workflows//sequenceWorkflow';
const STEP = '__wkf_step_step//./tests/fixtures/workflows//double';

interface Garbage {
  queue: 'flows' | 'steps';
  /** JSON. */
  data: string | null;
  key?: string | null;
  group?: string | null;
}

test('garbage in both queues becomes dead letters with the reason, beside runs that complete on the same worker', async () => {
  const seed = Number(process.env.GARBAGE_SEED ?? Date.now() % 1_000_000);
  console.log(`GARBAGE_SEED=${seed}`);
  const random = createRandom(seed);
  const app = await createApplication();
  const worker = await app.startWorker();
  const deployment = await deploymentOf(app);
  const [parked = '', slow = ''] = await app.startAll(['parkedWorkflow', ['t']], ['sequenceOfWaitsWorkflow', [4, 700]]);
  await until('it is parked', async () => (await app.query(`SELECT FROM workflow_hooks`)).length === 1);
  const foreign = await insertForeignRun(app, deployment);
  const cpuBefore = await cpuOf(worker.pid);

  const cases = [
    ...edgeCases({ parked, slow, foreign }),
    ...Array.from({ length: 60 }, () => randomCase(random, [parked, slow, foreign])),
  ];
  const ids = await insertJobs(app, deployment, cases);
  const neighbours = await app.start('sequenceWorkflow', [5], 5);
  for (const runId of neighbours) expect(await app.ended(runId)).toEqual({ status: 'completed' });
  await until('none of it is left in the queues', async () => (await openJobs(app, ids)).length === 0);

  const letters = await app.query<{ key: string; reason: string }>(
    `SELECT singleton_key AS key, data->>'reason' AS reason FROM workflow_queue.job WHERE name = 'workflow_dead'`,
  );
  for (const [n, id] of ids.entries()) {
    const letter = letters.find(({ key }) => key === `job:${id}`);
    expect.soft(letter?.reason, JSON.stringify(cases[n])).toMatch(/^A job of workflow_(flows|steps)\..* cannot be/);
    expect.soft(worker.stderr).toContain(`job:${id}`);
  }
  expect(await app.ended(slow)).toEqual({ status: 'completed' });
  // Its job, somebody else's, was fetched by a worker that died with it.
  await app.query(
    `INSERT INTO workflow_queue.job (name, data, policy, singleton_key, retry_limit, expire_seconds, state, started_on, heartbeat_on)
     VALUES ($1, '[]', 'exclusive', $2, 100, 86400, 'active', now() - interval '1 hour', now() - interval '1 hour')`,
    [`workflow_flows.${deployment}`, parked],
  );
  await withClient(app.url, 'tests', (client) => groupOrphans(client, 'workflow_', 'workflow_queue'));
  // Whoever answers it is not disturbed by what was said about it.
  await app.ask('answer', 't', '[1]');
  expect(await app.ended(parked)).toEqual({ status: 'completed' });
  expect(await app.query(`SELECT status::text FROM workflow_runs WHERE id = $1`, [foreign])).toEqual([
    { status: 'pending' },
  ]);
  expect(await eventsOf(app, foreign)).toBe(0);
  expect(await app.executions()).toHaveLength(5 * 5 + 2 + 4);

  // The same process, and it is idle again.
  expect(process.kill(worker.pid, 0)).toBe(true);
  expect((await cpuOf(worker.pid)) - cpuBefore).toBeLessThan(20);
  await until('it is idle', () => isIdle(worker.pid));
});

/** Each kind that was thought of. */
function edgeCases({ parked, slow, foreign }: { parked: string; slow: string; foreign: string }): Garbage[] {
  const step = { workflowName: 'w', workflowRunId: parked, workflowStartedAt: 1, stepId: 'step_1' };
  const json = (value: unknown) => JSON.stringify(value);
  return [
    ...['null', '1', '"text"', '[]', '{}', '{"__proto__": {"queueName": 1}}', '1e400', null].flatMap((data) =>
      (['flows', 'steps'] as const).map((queue) => ({ queue, data })),
    ),
    { queue: 'flows', data: json({ queueName: FLOWS }) },
    { queue: 'flows', data: json({ payload: { runId: parked } }), key: randomUUID(), group: parked },
    { queue: 'flows', data: json({ queueName: STEP, payload: { runId: parked } }), key: randomUUID(), group: parked },
    { queue: 'flows', data: json({ queueName: FLOWS, payload: { runId: 17 } }) },
    { queue: 'flows', data: json({ queueName: FLOWS, payload: { runId: 'x'.repeat(100_000) } }) },
    { queue: 'flows', data: json({ queueName: 'q'.repeat(1_000_000), payload: 'p'.repeat(1_000_000) }) },
    // About a run of others, and about ours under another key or in the name of another one.
    { queue: 'flows', data: json({ queueName: FLOWS, payload: { runId: foreign } }), key: foreign, group: foreign },
    { queue: 'flows', data: json({ queueName: FLOWS, payload: { runId: slow } }), key: randomUUID() },
    { queue: 'flows', data: json({ queueName: FLOWS, payload: { runId: slow } }), group: parked },
    { queue: 'steps', data: json({ queueName: STEP, payload: { ...step, workflowRunId: foreign } }), group: foreign },
    { queue: 'steps', data: json({ queueName: STEP, payload: step }), group: slow },
    { queue: 'steps', data: json({ queueName: STEP, payload: step }), group: parked },
    { queue: 'steps', data: json({ queueName: STEP, payload: { ...step, stepId: null } }), group: parked },
    { queue: 'steps', data: json({ queueName: FLOWS, payload: step }), group: parked },
    {
      queue: 'flows',
      data: json({
        queueName: FLOWS,
        payload: {
          runId: 'wrun_x',
          runInput: { input: { $bytes: 7 }, deploymentId: 'd', workflowName: 'w', specVersion: 2 },
        },
      }),
      group: 'wrun_x',
    },
    {
      // It would begin a run of other code.
      queue: 'flows',
      data: json({
        queueName: FLOWS,
        payload: {
          runId: 'wrun_y',
          runInput: { input: { $bytes: '' }, deploymentId: 'd', workflowName: 'w', specVersion: 2 },
        },
      }),
      key: 'wrun_y',
      group: 'wrun_y',
    },
  ];
}

function randomCase(random: () => number, runIds: string[]): Garbage {
  const pick = <T>(...from: T[]): T => from[Math.floor(random() * from.length)]!;
  const value = (depth: number): unknown =>
    pick<() => unknown>(
      () => null,
      () => (random() - 0.5) * 10 ** Math.floor(random() * 300),
      () => pick('', 'x'.repeat(Math.floor(random() * 5_000)), '😀', FLOWS, STEP, ...runIds),
      () => random() < 0.5,
      () => (depth === 0 ? [] : Array.from({ length: Math.floor(random() * 4) }, () => value(depth - 1))),
      () => (depth === 0 ? {} : record(depth)),
      () => (depth === 0 ? {} : record(depth)),
    )();
  const record = (depth: number) => {
    const names = ['queueName', 'payload', 'runId', 'workflowRunId', 'stepId', 'workflowName', 'runInput', '__proto__'];
    return Object.fromEntries(names.filter(() => random() < 0.5).map((name) => [name, value(depth - 1)]));
  };
  // A message of a run with the key of its own job could be a true one.
  return { queue: pick('flows', 'steps'), data: JSON.stringify(value(4)), group: pick(null, ...runIds) };
}

async function insertJobs(app: Application, deployment: string, cases: readonly Garbage[]): Promise<string[]> {
  const ids: string[] = [];
  for (const { queue, data, key = null, group = null } of cases) {
    const [row] = await app.query<{ id: string }>(
      `INSERT INTO workflow_queue.job (name, data, policy, singleton_key, group_id, retry_limit, expire_seconds)
       VALUES ($1, $2::jsonb, 'exclusive', $3, $4, 100, 86400) RETURNING id`,
      [`workflow_${queue}.${deployment}`, data, key ?? randomUUID(), group],
    );
    ids.push(row!.id);
  }
  return ids;
}

function openJobs(app: Application, ids: readonly string[]): Promise<object[]> {
  return app.query(`SELECT FROM workflow_queue.job WHERE id = ANY ($1) AND state <= 'active'`, [ids]);
}

async function deploymentOf(app: Application): Promise<string> {
  const [worker] = await app.query<{ deployments: string[] }>('SELECT deployments FROM workflow_engine.workers');
  return worker!.deployments[0]!;
}

/** A run of another application, under way, that nobody works on here. */
async function insertForeignRun(app: Application, deployment: string): Promise<string> {
  const runId = 'wrun_01M8326Q1W6NMZQ0D0FPPB0AV1';
  await app.query(
    `INSERT INTO workflow.workflow_runs (id, deployment_id, status, name) VALUES ($1, $2, 'pending', 'w')`,
    [runId, deployment],
  );
  await app.query(
    `INSERT INTO workflow_engine.run_progress (run_id, job_prefix, deployment_id, workflow_name) VALUES ($1, 'workflow_2_', $2, 'w')`,
    [runId, deployment],
  );
  return runId;
}

async function eventsOf(app: Application, runId: string): Promise<number> {
  return (await app.query('SELECT FROM workflow_events WHERE run_id = $1', [runId])).length;
}

async function isIdle(pid: number): Promise<boolean> {
  const before = await cpuOf(pid);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  return (await cpuOf(pid)) - before < 0.3;
}

/** On Linux; elsewhere nothing is known, and nothing used. */
function cpuOf(pid: number): Promise<number> {
  return cpuSeconds(pid).catch(() => 0);
}

/** What somebody has changed in the log of a run by hand; and what the run says. */
const CORRUPTIONS: [what: string, change: string, says: RegExp][] = [
  ['bytes that are no CBOR', `payload_cbor = '\\x5aff'`, /^The event wevt_\w+ \(step_completed\) cannot be read/],
  ['bytes that are no value', `payload_cbor = '\\xff'`, /Invalid input/],
  ['a type that nobody knows', `type = 'step_pondered'`, /^The event wevt_\w+ \(step_pondered\) cannot be read/],
  ['data of the wrong shape', `payload_cbor = '${hex(1)}'`, /^The event wevt_\w+ \(step_completed\) cannot be read/],
  ['no data', 'payload_cbor = NULL', /^The event wevt_\w+ \(step_completed\) cannot be read/],
  ['another correlation id', `correlation_id = 'step_of_nobody'`, /step_of_nobody/],
];

test('a run with an event in its log that nobody can read fails at once, and says which; the others complete', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const runIds = await app.startAll(...CORRUPTIONS.map((_, n): [string, unknown[]] => ['parkedWorkflow', [`t${n}`]]));
  await until('all are parked', async () => (await app.query(`SELECT FROM workflow_hooks`)).length === runIds.length);
  for (const [n, [, change]] of CORRUPTIONS.entries()) {
    await app.query(`UPDATE workflow_events SET ${change} WHERE run_id = $1 AND type = 'step_completed'`, [runIds[n]]);
  }
  await app.query('UPDATE workflow_engine.run_progress SET wake_seq = wake_seq + 1');
  const [neighbour = ''] = await app.start('sequenceWorkflow', [1]);

  expect(await app.ended(neighbour)).toEqual({ status: 'completed' });
  for (const runId of runIds) expect(await app.ended(runId)).toEqual({ status: 'failed' });
  const errors = await app.ask<string>('errors', ...runIds);
  for (const [n, [what, , says]] of CORRUPTIONS.entries()) expect.soft(errors[n], what).toMatch(says);
  expect(process.kill(worker.pid, 0)).toBe(true);
});

function hex(value: unknown): string {
  return `\\x${encode(value)!.toString('hex')}`;
}
