/** What comes back of a value: docs/VALUES.md. */
import { createContext, runInContext } from 'node:vm';
import { inspect, isDeepStrictEqual } from 'node:util';
import {
  dehydrateStepArguments,
  dehydrateStepReturnValue,
  hydrateStepArguments,
  hydrateStepReturnValue,
} from '@workflow/core/serialization';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { findUnstorable } from '../src/values/unstorable.ts';
import { answerHookOnce, startOnce } from '../world-config.ts';
import { VALUES } from './fixtures/values.ts';
import { openOwnWorld, type OwnWorld } from './support/own-world.ts';
import { until } from './support/until.ts';

const names = Object.keys(VALUES);
const refused = names.filter((name) => VALUES[name]!.refused !== undefined);
const kept = names.filter((name) => VALUES[name]!.refused === undefined);

describe('through a real run', () => {
  let world: OwnWorld;

  beforeAll(async () => {
    world = await openOwnWorld('value-workflows.ts');
  });

  /** Those that are not what the table says: alike, and instances of the same. */
  const different = (result: unknown) =>
    kept.filter((name, n) => {
      const { make, becomes = make } = VALUES[name]!;
      const is = (result as unknown[])[n];
      // Of errors, two stacks are compared, and only one is made up.
      const isSame = isDeepStrictEqual(is, becomes());
      return is instanceof Error ? inspect(is) !== inspect(becomes()) : !isSame;
    });

  test('what a step returns comes back as the table says, from the workflow, another step, and the run', async () => {
    const { result, reason } = await world.run('roundTrip', kept);
    expect(reason).toBeUndefined();
    expect(different(result)).toEqual([]);
  });

  test('what start() is given comes back', async () => {
    const values = kept.map((name) => VALUES[name]!.make());
    const { result, reason } = await world.run('echo', values);
    expect(reason).toBeUndefined();
    expect(different(result)).toEqual([]);
  });

  test('what answers a hook comes back', async () => {
    const runId = await world.start('answered', 'values');
    await until('it waits', async () => (await world.query('SELECT FROM workflow_hooks'))[0]);
    await answerHookOnce(
      'values',
      kept.map((name) => VALUES[name]!.make()),
    );
    const { result } = await world.ended(runId);
    expect(different(result)).toEqual([]);
  });

  test('everything else is refused by name and path', async () => {
    const { result } = await world.run('refusals', refused);
    const reasons = Object.fromEntries(refused.map((name, n) => [name, (result as unknown[])[n]]));
    const wanted = refused.map((name) => [name, expect.stringContaining(VALUES[name]!.refused!) as unknown]);
    expect(reasons).toEqual(Object.fromEntries(wanted));
  });

  test('what structuredClone() makes inside of a workflow is of another realm', async () => {
    const { result } = await world.run('cloned');
    expect(result).toEqual([
      expect.stringContaining('arguments[0] is a Map of another realm'),
      expect.stringContaining('arguments[0] is a part of a buffer of another realm'),
    ]);
  });

  test('who starts or answers with something else is told so', async () => {
    const given = { text: '\ud83d' };
    const starting = startOnce({ workflowId: 'workflow//./x//x' }, [given], { key: 'k' });
    await expect(starting).rejects.toThrow('The run cannot be started: arguments[0].text has a lone surrogate');
    await expect(answerHookOnce('x', given)).rejects.toThrow('cannot be answered: payload.text has a lone surrogate');
  });
});

describe('whatever a step makes up', () => {
  /** As a workflow's, as far as values go. */
  const realm = runInContext('globalThis', createContext()) as Record<string | symbol, unknown>;
  Object.assign(realm, { URL, URLSearchParams, Headers, DOMException });
  for (const name of ['Request', 'Response', 'ReadableStream', 'WritableStream']) realm[name] = function none() {};
  realm[Symbol.for('WORKFLOW_USE_STEP')] = () => () => undefined;

  /** From a step into its workflow, and into the next step. */
  async function roundTrip(value: unknown): Promise<unknown> {
    const result = await dehydrateStepReturnValue(value, 'wrun_x', undefined, []);
    const inWorkflow: unknown = await hydrateStepReturnValue(result, 'wrun_x', undefined, realm as never);
    const input = await dehydrateStepArguments({ args: [inWorkflow] }, 'wrun_x', undefined, realm as never);
    const { args } = (await hydrateStepArguments(input, 'wrun_x', undefined, [])) as { args: unknown[] };
    return args[0];
  }

  /** Not only well-formed, and some keys that are special. */
  const text = fc.oneof(
    { weight: 8, arbitrary: fc.string({ unit: 'binary' }) },
    { weight: 1, arbitrary: fc.constantFrom('\ud83d', 'a\udc00', '\0', '\u2028', '<script>', '\\"') },
  );
  const key = fc.oneof(text, fc.constantFrom('__proto__', 'constructor', 'then', 'toJSON', 'length', '0'));
  const leaf = fc.oneof(
    text,
    fc.double(),
    fc.bigInt(),
    fc.date({ noInvalidDate: false }),
    fc.constantFrom<unknown>(undefined, null, -0, NaN, /a/g, Symbol('s'), () => 1, Object(1), new URL('a:b')),
    fc.uint8Array(),
    fc.float64Array(),
    fc.bigInt64Array(),
  );
  const { value: anything } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      { weight: 4, arbitrary: leaf },
      fc.array(tie('value'), { maxLength: 5 }),
      fc.sparseArray(tie('value'), { maxLength: 9 }),
      fc.dictionary(key, tie('value'), { maxKeys: 5 }),
      fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
      fc.array(tie('value'), { maxLength: 4 }).map((entries) => new Set(entries)),
      // The same one twice, and one that contains itself.
      tie('value').map((value) => [value, { value }]),
      tie('value').map((value) => {
        const own: Record<string, unknown> = { value };
        return Object.assign(own, { own: [own] });
      }),
    ),
  }));

  test('comes back the same, or is refused with a path', async () => {
    const counts = { same: 0, refused: 0 };
    const property = fc.asyncProperty(
      fc.oneof(
        anything,
        fc.anything({
          withBigInt: true,
          withBoxedValues: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withNullPrototype: true,
          withObjectString: true,
          withSparseArray: true,
          withTypedArray: true,
          withUnicodeString: true,
        }),
      ),
      async (value) => {
        const found = findUnstorable(value, 'result');
        counts[found ? 'refused' : 'same'] += 1;
        // What it is, or why and where it is none.
        const isAsSaid = found ? found.path.startsWith('result') : isDeepStrictEqual(await roundTrip(value), value);
        expect(isAsSaid).toBe(true);
      },
    );
    const seed = Number(process.env.TEST_SEED) || Date.now() % 2 ** 31;
    console.log(`Values of seed ${seed} (TEST_SEED)`);
    await fc.assert(property, { seed, numRuns: 5_000 });
    // Both happen.
    expect(Math.min(counts.same, counts.refused)).toBeGreaterThan(100);
  });
});
