/** Mistakes of an author: said once, by what they belong to, and never delivered again. */
import { beforeAll, describe, expect, test } from 'vitest';
import { answerHookOnce, startOnce } from '../world-config.ts';
import { openOwnWorld, type OwnWorld } from './support/own-world.ts';
import { until } from './support/until.ts';

/** Lowered, so that what is too large is quickly made. */
const MAX_VALUE_BYTES = 1_000_000;

let world: OwnWorld;

beforeAll(async () => {
  world = await openOwnWorld('mistake-workflows.ts', { maxValueBytes: MAX_VALUE_BYTES });
});

const executionsOf = async (runId: string) =>
  (await world.query('SELECT FROM executions WHERE run_id = $1', [runId])).length;

describe.concurrent('a step whose result cannot be stored was executed once, and says so', () => {
  test.each([
    ['class', 'result.order.price is an instance of Money'],
    ['proto', 'result.__proto__ has a key that is read as a prototype'],
    ['function', 'result.items[1] is a function, and not a step'],
    ['symbol', 'result is a symbol'],
    ['getter', 'result.price cannot be read: no price'],
    ['promise', 'result.later is a promise: await it'],
    ['surrogate', 'result.text has a lone surrogate'],
    ['deep', 'is nested too deeply'],
    ['own map', 'contains itself: a Map or a Set cannot'],
    ['large', 'result.bytes is too large: more than 100 MB'],
    ['many', 'result.list has more than 2.5 million parts'],
    ['long', 'its result cannot be stored: it has 1.2 MB, and at most 1 MB can be (WORKFLOW_POSTGRES_MAX_VALUE_MB)'],
    ['stream', 'the source is gone'],
  ])('%s', async (kind, reason) => {
    const [failed, caught] = await Promise.all([world.run('resultOf', kind), world.run('caughtResultOf', kind)]);
    expect(failed.reason).toContain('The step "make"');
    expect(failed.reason).toContain(reason);
    expect(await executionsOf(failed.runId)).toBe(1);
    expect(caught.result).toEqual([true, expect.stringContaining(reason), 'taken string']);
    expect(await executionsOf(caught.runId)).toBe(1);
  });
});

describe.concurrent('a step whose arguments cannot be stored is not called, which the workflow can catch', () => {
  test.each([
    ['class', 'arguments[0].order.price is an instance of Money'],
    ['function', 'arguments[0].items[1] is a function'],
    ['symbol', 'arguments[0] is a symbol'],
    ['surrogate', 'arguments[0].text has a lone surrogate'],
    ['deep', 'is nested too deeply'],
    ['own map', 'contains itself'],
    ['long', 'its input cannot be stored: it has 1.2 MB'],
  ])('%s', async (kind, reason) => {
    const { result } = await world.run('argumentOf', kind);
    expect(result).toEqual([true, expect.stringContaining(reason)]);
    expect(String(result)).toContain('The step "take" cannot be called');
  });
});

describe.concurrent('a workflow whose own result cannot be stored fails at once', () => {
  test.each([
    ['class', 'result.order.price is an instance of Money'],
    ['symbol', 'result is a symbol'],
    ['surrogate', 'result.text has a lone surrogate'],
    ['large', 'result.bytes is too large'],
    ['long', 'its output cannot be stored: it has 1.2 MB, and at most 1 MB can be'],
  ])('%s', async (kind, reason) => {
    expect((await world.run('returning', kind)).reason).toContain(reason);
  });
});

describe.concurrent('a time that is none is refused by sleep(), which the workflow can catch', () => {
  test.each([
    [1e18, 'sleep() cannot wait: 1000000000000000000 ms is too long'],
    [NaN, 'Invalid duration: NaN'],
    [-1, 'Invalid duration: -1'],
    [new Date(NaN), 'sleep() cannot wait: the date is invalid'],
    [new Date(8.64e15), 'sleep() cannot wait: the year 275760 is out of range'],
    [new Date(-8.64e15), 'out of range'],
    ['9999999 years', 'sleep() cannot wait: "9999999 years" is too long'],
    ['soon', 'Invalid duration: "soon"'],
  ])('%s', async (time, reason) => {
    const [caught, failed] = await Promise.all([true, false].map((catches) => world.run('napping', time, catches)));
    expect(caught!.result).toContain(reason);
    expect(failed!.reason).toContain(reason);
  });

  test.each([new Date(0), '0s', 0])('and one that was waits for nothing: %s', async (time) => {
    expect(await world.run('napping', time, false)).toMatchObject({ result: undefined });
  });
});

describe.concurrent(
  'a token that no row or index can hold is refused by createHook(), which the workflow can catch',
  () => {
    const random = Array.from({ length: 6_000 }, (_, n) => (n * n).toString(36)).join('');
    test.each([
      ['NUL', 'a\0b', 'it contains NUL'],
      ['too long', random, 'it has more than 2000 bytes'],
      ['too many bytes', '€'.repeat(1_000), 'it has more than 2000 bytes'],
      ['no string', 17, 'it is not a string (number)'],
    ])('%s', async (_, token, reason) => {
      const runs = [true, false].map((catches) => world.run('waitingFor', token, catches));
      const [caught, failed] = await Promise.all(runs);
      expect(caught!.result).toContain(reason);
      expect(failed!.reason).toContain(reason);
    });

    test('and metadata that cannot be stored', async () => {
      const { result } = await world.run('waitingFor', 'token', true, 'class');
      expect(result).toContain('createHook() cannot store its metadata: metadata.order.price is an instance of Money');
    });

    test('the longest one that there may be waits, whatever is in it', async () => {
      const token = random.slice(0, 2_000);
      const runId = await world.start('waitingFor', token, true);
      await until(
        'it waits',
        async () => (await world.query('SELECT FROM workflow_hooks WHERE run_id = $1', [runId]))[0],
      );
      const { resumeHook } = await import('workflow/api');
      await resumeHook(token, 'answer');
      expect(await world.ended(runId)).toMatchObject({ result: 'answer' });
    });
  },
);

describe('what is too large is refused to whoever gives it, before anything is stored or sent', () => {
  const large = 'x'.repeat(1_100_000);
  const refusal = 'cannot be stored: it has 1.1 MB, and at most 1 MB can be';
  const countRuns = async () => (await world.query('SELECT FROM workflow_runs')).length;

  test('the arguments of a run', async () => {
    const runs = await countRuns();
    await expect(world.start('throwing', large)).rejects.toThrow(refusal);
    const keyed = startOnce({ workflowId: 'workflow//./x//x' }, [large], { key: 'large' });
    await expect(keyed).rejects.toThrow(refusal);
    expect(await countRuns()).toBe(runs);
    expect(
      await world.query(`SELECT FROM workflow_queue.job WHERE state <= 'active' AND data::text LIKE '%xxxxxx%'`),
    ).toEqual([]);
  });

  test('an answer to a hook, which still waits', async () => {
    const runId = await world.start('waitingFor', 'for something small', true);
    await until(
      'it waits',
      async () => (await world.query('SELECT FROM workflow_hooks WHERE run_id = $1', [runId]))[0],
    );
    const { resumeHook } = await import('workflow/api');
    await expect(resumeHook('for something small', large)).rejects.toThrow(refusal);
    await expect(answerHookOnce('for something small', large)).rejects.toThrow(refusal);
    await answerHookOnce('for something small', 'small');
    expect(await world.ended(runId)).toMatchObject({ result: 'small' });
  });
});

describe.concurrent('what is not there, or cannot be read, is the reason of the failure', () => {
  test('a step', async () => {
    const steps = (globalThis as never)[Symbol.for('@workflow/core//registeredSteps')] as Map<string, unknown>;
    for (const name of steps.keys()) if (name.endsWith('//nobody')) steps.delete(name);
    expect((await world.run('callingNobody')).result).toContain('nobody" is not registered');
  });

  test('a workflow', async () => {
    const { start } = await import('workflow/api');
    const { runId } = await start({ workflowId: 'workflow//./nowhere//nothing' }, []);
    expect((await world.ended(runId)).reason).toContain('nothing" is not registered');
  });

  /** A run that is parked on its hook, after a step, and goes on over a log in which something was changed. */
  async function goOnOver(token: string, change: string) {
    const runId = await world.start('stepThenHook', token);
    await until('it is parked', async () => {
      const jobs = `SELECT FROM workflow_queue.job WHERE state <= 'active' AND data::text LIKE '%' || $1 || '%'`;
      const hooks = await world.query('SELECT FROM workflow_hooks WHERE run_id = $1', [runId]);
      return hooks.length === 1 && (await world.query(jobs, [runId])).length === 0;
    });
    await world.query(`UPDATE workflow_events SET ${change} AND run_id = $1`, [runId]);
    const { resumeHook } = await import('workflow/api');
    await resumeHook(token, 'answer');
    return world.ended(runId);
  }

  test('an event that cannot be decoded', async () => {
    const { reason } = await goOnOver('undecodable', `payload_cbor = '\\xff00' WHERE type = 'run_created'`);
    expect(reason).toMatch(/run_created\) cannot be read/);
  });

  test('a log that does not fit the code', async () => {
    const { reason } = await goOnOver('foreign', `correlation_id = 'step_0' WHERE type LIKE 'step%'`);
    expect(reason).toContain('diverged');
  });
});

test('none of all these was delivered again', async () => {
  expect(await world.query('SELECT name, data, output FROM workflow_queue.job WHERE retry_count > 0')).toEqual([]);
});
