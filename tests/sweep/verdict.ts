import { isDeepStrictEqual } from 'node:util';
import type { Pool } from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import { nameOfStream } from '../../src/streams/run-stream.ts';
import type { Engine } from './engine.ts';
import { SPOKEN, SPOKEN_STREAMS } from './spoken-streams.ts';
import type { SweepWorker } from './worker-process.ts';

const REPLAY_PATIENCE_MS = 15_000;

/** What the workflow returns, and what it writes to its stream. */
const RESULT = {
  first: 2,
  second: 3,
  parallel: [13, 23, 'attempt 2'],
  caught: true,
  answer: 'yes',
  words: 3,
  spoken: [3, 'spoken, and failed'],
};
const TEXT = 'one two three ';

/** The events that every run has this often, however often its workers die. */
const EVENTS: Record<string, number> = {
  run_created: 1,
  run_started: 1,
  step_created: 9,
  step_completed: 7,
  step_failed: 2,
  step_retrying: 1,
  wait_created: 1,
  wait_completed: 1,
  hook_created: 1,
  hook_disposed: 1,
  run_completed: 1,
};

/** What each thing begins and ends with. */
const ENDS: Record<string, RegExp> = {
  step_created: /^step_(completed|failed)$/,
  wait_created: /^wait_completed$/,
  hook_created: /^hook_disposed$/,
};

interface Event {
  id: string;
  type: string;
  thing: string | null;
}

/**
 * What is wrong with a run, one sentence each.
 * @param runId undefined: nothing was started, so nothing may be there
 * @param worker one that lives
 */
export async function judge(
  engine: Engine,
  pool: Pool,
  runId: string | undefined,
  worker: SweepWorker,
  token: string,
): Promise<string[]> {
  const { rows: hooks } = await pool.query('SELECT FROM workflow.workflow_hooks WHERE token = $1', [token]);
  const problems = hooks.length > 0 ? ['the token of its hook is still taken'] : [];
  if (!runId) return problems;
  const { rows: runs } = await pool.query<{ status: string }>(
    'SELECT status FROM workflow.workflow_runs WHERE id = $1',
    [runId],
  );
  const status = runs[0]?.status;
  if (status !== 'completed') return [...problems, `the run is ${status}`];

  const events = await readEvents(pool, runId);
  problems.push(
    ...judgeLog(events),
    ...(await judgeRows(engine, pool, runId)),
    ...(await judgeAnswers(engine, worker, runId)),
    ...(await judgeSpoken(pool, worker, runId)),
  );
  if (engine.lasting && problems.length === 0) problems.push(...(await judgeReplay(pool, runId, events)));
  return problems;
}

async function readEvents(pool: Pool, runId: string): Promise<Event[]> {
  const { rows } = await pool.query<Event>(
    'SELECT id, type, correlation_id AS thing FROM workflow.workflow_events WHERE run_id = $1 ORDER BY id',
    [runId],
  );
  return rows;
}

function judgeLog(events: readonly Event[]): string[] {
  const problems: string[] = [];
  const say = (isWrong: boolean, problem: string) => isWrong && problems.push(problem);
  for (const [type, expected] of Object.entries(EVENTS)) {
    const count = events.filter((event) => event.type === type).length;
    say(count !== expected, `${type} is in the log ${count} times instead of ${expected}`);
  }
  say(!events.some(({ type }) => type === 'hook_received'), 'hook_received is not in the log');
  say(events[0]?.type !== 'run_created', `the log begins with ${events[0]?.type}`);
  say(events.at(-1)?.type !== 'run_completed', `the log ends with ${events.at(-1)?.type}`);
  events.forEach(({ type, thing }, index) => {
    const end = ENDS[type];
    if (!end) return;
    const ends = events.flatMap((other, at) => (other.thing === thing && end.test(other.type) ? [at] : []));
    say(ends.length !== 1, `${thing} has ${ends.length} ends`);
    say(
      ends.some((at) => at < index),
      `${thing} ended before it was created`,
    );
    say(
      events.some((other, at) => other.thing === thing && at > ends[0]!),
      `${thing} has events after its end`,
    );
  });
  return problems;
}

async function judgeRows({ rows: sql }: Engine, pool: Pool, runId: string): Promise<string[]> {
  const { rows } = await pool.query<{ problem: string }>(sql, [runId, runId.replace('wrun_', 'strm_')]);
  return rows.map(({ problem }) => problem);
}

async function judgeAnswers(engine: Engine, worker: SweepWorker, runId: string): Promise<string[]> {
  const result = (await worker.ask('result', runId))?.value;
  const chunks = ((await worker.ask('read', runId))?.value ?? []) as { attempt: number; index: number; text: string }[];
  // The stock world charges a step for executions that were cut off; that is known, and not what is looked for here.
  const withoutAttempt = (value: unknown) =>
    engine.lasting ? value : JSON.parse(JSON.stringify(value ?? null).replace(/attempt \d/, 'attempt'));
  const last = Math.max(...chunks.map(({ attempt }) => attempt));
  const ofLast = new Map(chunks.filter(({ attempt }) => attempt === last).map(({ index, text }) => [index, text]));
  const text = [...ofLast.values()].join('');
  return [
    ...(isDeepStrictEqual(withoutAttempt(result), withoutAttempt(RESULT))
      ? []
      : [`the result is ${JSON.stringify(result)}`]),
    ...(text === TEXT ? [] : [`the stream reads "${text}"`]),
  ];
}

/** Each ends with all that was written; before that, there may be what an execution wrote that was cut off. */
async function judgeSpoken(pool: Pool, worker: SweepWorker, runId: string): Promise<string[]> {
  const problems: string[] = [];
  for (const [namespace, isClosed] of Object.entries(SPOKEN_STREAMS)) {
    const chunks = ((await worker.ask('read', runId, namespace))?.value ?? []) as string[];
    if (!isDeepStrictEqual(chunks.slice(-SPOKEN.length), SPOKEN))
      problems.push(`the stream "${namespace}" reads ${JSON.stringify(chunks)}`);
    const { rowCount } = await pool.query('SELECT FROM workflow.workflow_stream_chunks WHERE stream_id = $1 AND eof', [
      nameOfStream(runId, namespace),
    ]);
    if (rowCount !== Number(isClosed)) problems.push(`the stream "${namespace}" has ${rowCount} ends`);
  }
  return problems;
}

/**
 * Takes the end out of the log and has the rest replayed by the runtime, from the first line to the
 * last: it must write that same end, and nothing else.
 */
async function judgeReplay(pool: Pool, runId: string, events: readonly Event[]): Promise<string[]> {
  await pool.query(`WITH removed AS (
       DELETE FROM workflow.workflow_events WHERE run_id = '${runId}' AND type = 'run_completed'),
     reopened AS (
       UPDATE workflow.workflow_runs SET status = 'running', output_cbor = NULL, completed_at = NULL WHERE id = '${runId}')
     UPDATE workflow_engine.run_progress SET wake_seq = wake_seq + 1 WHERE run_id = '${runId}'`);
  const shapeOf = (log: readonly Event[]) => log.map(({ type, thing }) => `${type} ${thing}`);
  const deadline = Date.now() + REPLAY_PATIENCE_MS;
  for (;;) {
    const { rowCount } = await pool.query(
      `SELECT FROM workflow.workflow_runs JOIN workflow_engine.run_progress ON run_id = id
       WHERE id = $1 AND status NOT IN ('pending', 'running') AND wake_seq = seen_seq`,
      [runId],
    );
    if (rowCount === 1 || Date.now() > deadline) break;
    await delay(100);
  }
  const replayed = await readEvents(pool, runId);
  if (isDeepStrictEqual(shapeOf(replayed), shapeOf(events))) return [];
  return [
    `replayed, its log became ${
      shapeOf(replayed)
        .slice(events.length - 1)
        .join(', ') || 'one without an end'
    }`,
  ];
}
