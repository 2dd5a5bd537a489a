import type { PgBoss } from 'pg-boss';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createHealth } from '../src/health/health.ts';
import { createFetchLoop } from '../src/queue/fetch-loop.ts';
import { createSlots } from '../src/queue/slots.ts';
import { createNews } from '../src/runtime/news.ts';

test('what is announced while a loop is busy is not slept over', async () => {
  const news = createNews();
  news.announce();
  expect(await news.wait(60_000)).toBe(true);
  expect(await news.wait(1)).toBe(false);
});

test('who announces thousands of jobs that are not there costs twenty looks, then one each 50 ms', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let looks = 0;
  let there = 0;
  const fetch = () => {
    looks += 1;
    return Promise.resolve(Array.from({ length: Math.min(there, 1) }, () => (there -= 1)));
  };
  const loop = createFetchLoop({
    boss: { fetch } as unknown as PgBoss,
    health: createHealth(() => undefined).of('Fetching'),
    queues: ['flows'],
    slots: createSlots(5),
    handle: () => Promise.resolve(),
    pollIntervalMs: Infinity,
  });
  const storm = async (ms: number) => {
    const before = looks;
    for (let n = 0; n < ms * 3; n += 1) {
      loop.announce();
      await vi.advanceTimersByTimeAsync(n % 3 ? 0 : 1);
    }
    return looks - before;
  };
  expect(await storm(1_000)).toBeLessThan(20 + 1_000 / 50 + 5);
  // What is there is not kept waiting for it.
  there = 100;
  expect(await storm(150)).toBeGreaterThan(100);
  const stopped = loop.stop();
  await vi.advanceTimersByTimeAsync(50);
  await stopped;
});
