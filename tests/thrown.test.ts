/** Whatever is thrown is said once, and never delivered again. */
import { beforeAll, describe, expect, test } from 'vitest';
import { openOwnWorld, type OwnWorld } from './support/own-world.ts';

/** What cannot be told by its text, or has none. */
const THROWN: [kind: string, reason: string][] = [
  ['cyclic cause', 'round and round'],
  ['getters', ''],
  ['proxy', ''],
  ['revoked', ''],
  ['no text', ''],
  ['frozen', 'frozen'],
  ['bigint', '10'],
  ['null', 'null'],
  ['undefined', 'undefined was thrown'],
  ['symbol', 'Symbol(x) was thrown'],
  ['getter', ''],
  ['function', ''],
  ['nul', 'a\uFFFDb'],
];

/** Of the runtime's own errors, and of ours. */
const NAMES = [
  'WorkflowSuspension',
  'ReplayDivergenceError',
  'WorkflowWorldError',
  'RunExpiredError',
  'EntityConflictError',
  'PreconditionFailedError',
  'HookNotFoundError',
  'ThrottleError',
  'TooEarlyError',
  'RuntimeDecryptionError',
  'WorkflowRunNotFoundError',
  'StepNotRegisteredError',
  'CorruptedEventLogError',
  'LeaseLostError',
];

let world: OwnWorld;

beforeAll(async () => {
  world = await openOwnWorld('mistake-workflows.ts');
});

const executionsOf = async (runId: string) =>
  (await world.query('SELECT FROM executions WHERE run_id = $1', [runId])).length;

describe.concurrent('whatever a workflow throws, its run fails at once', () => {
  test.each([
    ['undefined', 'undefined was thrown'],
    ['null', 'null'],
    ['symbol', 'Symbol(x) was thrown'],
    ['nul', 'a\uFFFDb'],
    ['getter', '[object Object]'],
    ['class', '{"order":{"price":{"cents":5}}}'],
    ...THROWN,
  ])('%s', async (kind, reason) => {
    expect((await world.run('throwing', kind)).reason).toContain(reason);
  });
});

describe.concurrent('a step that fails in a way that cannot be recorded fails once, with a reason', () => {
  test.each([
    ['retry at no time', 'retryAfter cannot be stored: it is no time'],
    ['retry in the year 20000', 'retryAfter cannot be stored: it is in the year 20000'],
    ['news of another run', 'gone'],
    ['nul', 'a\uFFFDb'],
    ['throw undefined', 'undefined was thrown'],
  ])('%s', async (kind, reason) => {
    const { runId, result } = await world.run('failingWith', kind);
    expect(result).toContain(reason);
    expect(await executionsOf(runId)).toBe(1);
  });
});

test('whatever a step throws, it fails once, and its workflow can catch it', async () => {
  const kinds = [...THROWN, ...NAMES.map((name) => [name, 'from a library'])];
  const { runId, result } = await world.run(
    'failingWithAll',
    kinds.map(([kind]) => kind),
  );
  expect(result).toEqual(kinds.map(([, reason]) => expect.stringContaining(reason!) as unknown));
  expect(await executionsOf(runId)).toBe(kinds.length);
});

test.concurrent.each(NAMES)(
  'a workflow that throws what the runtime takes for its own fails at once: %s',
  async (name) => {
    expect((await world.run('throwingNamed', name)).reason).toContain(
      // Of which the runtime keeps the text for itself.
      name === 'ReplayDivergenceError' ? 'replayDivergence' : 'from a library',
    );
  },
);

test('none of all these was delivered again', async () => {
  expect(await world.query('SELECT name, data, output FROM workflow_queue.job WHERE retry_count > 0')).toEqual([]);
});
