import { describe, expect, test } from 'vitest';
import { retryAfterMs } from '../src/model/failure.ts';
import { createTurns } from '../src/model/turns.ts';

describe('turns', () => {
  const never = new AbortController().signal;

  test('are given in order, and who leaves the queue keeps nobody waiting', async () => {
    const turns = createTurns(() => 2);
    const begun: number[] = [];
    const leaving = new AbortController();
    const take = (n: number, signal = never) => turns.take(signal).then((give) => (begun.push(n), give));
    const [first, second] = [await take(1), await take(2)];
    const [third, left, fourth] = [take(3), take(0, leaving.signal), take(4)];
    leaving.abort(new Error('not wanted any more'));
    await expect(left).rejects.toThrow('No turn is wanted');
    expect(begun).toEqual([1, 2]);
    first();
    // Once more does not let another one in.
    first();
    await third;
    expect(begun).toEqual([1, 2, 3]);
    second();
    await fourth;
    expect(begun).toEqual([1, 2, 3, 4]);
  });

  test('are not for those who come too late', async () => {
    await expect(createTurns(() => 1).take(AbortSignal.abort(new Error('stopped')))).rejects.toThrow(
      'No turn is wanted',
    );
  });
});

describe('the next attempt of a model call', () => {
  const [atOnce, limited] = [{ what: 'x' }, { what: 'x', saysWhen: true }];
  const often = (delay: () => number) => Array.from({ length: 200 }, delay);

  test('comes later each time, up to a minute, and not at the moment of the others', () => {
    for (const [attempt, mostMs] of [
      [1, 2_000],
      [3, 8_000],
      [20, 60_000],
    ] as const) {
      const delays = often(() => retryAfterMs(atOnce, attempt));
      expect(Math.min(...delays)).toBeGreaterThanOrEqual(mostMs / 2);
      expect(Math.max(...delays)).toBeLessThanOrEqual(mostMs);
      expect(new Set(delays).size).toBeGreaterThan(100);
    }
  });

  test('never comes before the server wants it, however long that is', () => {
    const delays = often(() => retryAfterMs(limited, 1, { retryAfterMs: 3_600_000 }));
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(3_600_000);
    expect(Math.max(...delays)).toBeLessThanOrEqual(3_960_000);
    expect(Math.min(...often(() => retryAfterMs(limited, 9, { retryAfterMs: 100 })))).toBeGreaterThanOrEqual(30_000);
  });
});
