/** Parts of driving a run that need no database. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Event } from '@workflow/world';
import { describe, expect, test } from 'vitest';
import { createBatches } from '../src/postgres/batches.ts';
import { eventIds } from '../src/postgres/event-rows.ts';
import { createOverflow } from '../src/queue/overflow.ts';
import { createSlots } from '../src/queue/slots.ts';
import { createRunLog } from '../src/runtime/run-log.ts';
import type { StepMessage } from '../src/runtime/scope.ts';

describe('what a driver remembers', () => {
  const event = (id: string, eventType = 'step_started') => ({ eventId: `wevt_${id}`, eventType }) as Event;
  const idsOf = ({ events }: { events: readonly Event[] }) => events.map(({ eventId }) => eventId.slice(5));

  test('an event that does not follow the last one is left for the next reading', () => {
    const log = createRunLog();
    log.beginReading()([event('1')], 1);
    log.add('2', [event('3')], '3');
    expect([idsOf(log), log.wakeSeq]).toEqual([['1'], undefined]);

    log.beginReading()([event('2'), event('3')], 2, '3');
    expect([idsOf(log), log.wakeSeq]).toEqual([['1', '2', '3'], 2]);
  });

  test('an event that was added while it was being read is there once', () => {
    const log = createRunLog();
    log.beginReading()([event('1')], 1);
    log.add('1', [event('2')], '2');
    log.beginReading()([event('2'), event('3')], 2, '2');
    log.add('2', [event('3')], '3');
    expect(idsOf(log)).toEqual(['1', '2', '3']);
  });

  test('a result of its own before which nothing was new needs no reading', () => {
    const log = createRunLog();
    log.beginReading()([event('1', 'run_created'), event('2', 'step_created')], 2);
    log.add('2', [event('3', 'step_started'), event('4', 'step_completed')], '4');
    expect(log.wakeSeq).toBe(3);
  });

  test('what somebody announces while it is being read is read again', () => {
    const log = createRunLog();
    const load = log.beginReading();
    log.doubt();
    load([event('1')], 1);
    expect(log.wakeSeq).toBeUndefined();
    log.beginReading()([], 1);
    expect(log.wakeSeq).toBe(1);
  });

  test('it tells whether steps are without a result, and whether the run has ended', () => {
    const log = createRunLog();
    log.beginReading()([event('1', 'step_created'), event('2', 'step_created'), event('3', 'step_failed')], 3);
    expect([log.unfinished, log.ended]).toEqual([true, false]);
    log.add('3', [event('4', 'step_completed'), event('5', 'run_completed')], '5');
    expect([log.unfinished, log.ended]).toEqual([false, true]);
  });

  test('ids of one statement are of one millisecond, and rise', () => {
    const ids = eventIds(2_000);
    expect(new Set(ids.map((id) => id.slice(0, 10))).size).toBe(1);
    expect(ids).toEqual(ids.toSorted());
  });
});

describe('batches', () => {
  test('what comes together, or while others are written, is written together, in order', async () => {
    const written: string[][] = [];
    let goOn = () => {};
    const add = createBatches<string, string>(async (items) => {
      written.push(items);
      if (written.length === 1) await new Promise<void>((resolve) => (goOn = resolve));
      return items.map((item) => item.toUpperCase());
    });
    const first = [add('run', 'a'), add('run', 'b')];
    await expect.poll(() => written).toEqual([['a', 'b']]);
    const second = [add('run', 'c'), add('run', 'd')];
    const other = add('another', 'e');
    expect(await other).toBe('E');
    goOn();

    expect(await Promise.all([...first, ...second])).toEqual(['A', 'B', 'C', 'D']);
    expect(written).toEqual([['a', 'b'], ['e'], ['c', 'd']]);
  });

  test('a statement does not grow without a bound, in number or in bytes', async () => {
    const sizes: number[] = [];
    const write = async (items: number[]) => {
      sizes.push(items.length);
      return items;
    };
    const many = createBatches(write);
    await Promise.all(Array.from({ length: 250 }, (_, n) => many('run', n)));
    const large = createBatches(write, { sizeOf: (size) => size });
    await Promise.all([3_000_000, 900_000, 900_000, 9_000_000, 1].map((size) => large('run', size)));

    expect(sizes).toEqual([100, 100, 50, 2, 1, 1, 1]);
  });

  test('what nobody waits for is written with what comes soon', async () => {
    const written: string[][] = [];
    const write = async (items: string[]) => {
      written.push(items);
      return items;
    };
    const add = createBatches<string, string>(write, { gatherMs: 200 });
    const first = add('run', 'a');
    await delay(1);
    await Promise.all([first, add('run', 'b')]);
    expect(written).toEqual([['a', 'b']]);
  });

  test('one that hangs on a dead connection is overtaken by the next, where the order does not matter', async () => {
    let hanging = 0;
    const write = (items: string[]) => {
      if (!items.includes('hangs')) return Promise.resolve(items);
      hanging += 1;
      return new Promise<string[]>(() => {});
    };
    const add = createBatches<string, string>(write, { patienceMs: 50 });
    void add('run', 'hangs');
    await expect.poll(() => hanging).toBe(1);
    expect(await add('run', 'next')).toBe('next');
    expect(await add('run', 'another')).toBe('another');
  });

  test('who comes with something that fails, fails; the next do not', async () => {
    const add = createBatches<string, string>(async (items) => {
      if (items.includes('bad')) throw new Error('no');
      return items;
    });
    const outcomes = await Promise.allSettled([add('run', 'good'), add('run', 'bad')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await add('run', 'good')).toBe('good');
  });
});

describe('slots', () => {
  test('whoever waits gets the next one, in turn; what is not used is given back', async () => {
    const slots = createSlots(2);
    expect([slots.tryTake(), await slots.take(0), slots.tryTake()]).toEqual([true, true, false]);
    const order: number[] = [];
    const waiting = [1, 2].map((n) => slots.take().then(() => order.push(n)));
    expect(await slots.take(1)).toBe(false);
    slots.give();
    slots.give();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2]);

    slots.give();
    expect(await slots.fill(0, async (count) => Array.from({ length: count - 1 }))).toEqual([]);
    expect(slots.tryTake()).toBe(true);
  });

  test('several are waited for until there are so many, or no longer', async () => {
    const slots = createSlots(3);
    await slots.several(3, 60_000);
    slots.tryTake();
    slots.tryTake();
    await slots.several(3, 1);
    let enough = false;
    const waiting = slots.several(3, 60_000).then(() => (enough = true));
    slots.give();
    await delay(1);
    expect(enough).toBe(false);
    slots.give();
    await waiting;
  });

  test('what takes too long goes on without its slot, which is given back once', async () => {
    const slots = createSlots(1);
    let end = () => {};
    const working = slots.use(1, () => new Promise<void>((resolve) => (end = resolve)));
    expect(await slots.take(60_000)).toBe(true);
    end();
    await working;
    expect(slots.tryTake()).toBe(false);
  });
});

describe('steps for which there is no room', () => {
  const step = (stepId: string) => ({ queueName: '__wkf_step_test', payload: { stepId } }) as unknown as StepMessage;
  const idOf = ({ payload }: StepMessage) => payload.stepId;

  function setting(alone = false) {
    const slots = createSlots(1);
    slots.tryTake();
    const executed: string[] = [];
    const shared: string[] = [];
    const aborter = new AbortController();
    const overflow = createOverflow({
      slots,
      signal: aborter.signal,
      alone,
      execute: (it) => executed.push(idOf(it)),
      share: async (them) => void shared.push(...them.map(idOf)),
    });
    for (const id of ['a', 'b', 'c']) overflow.add(step(id));
    return { slots, executed, shared, aborter, overflow };
  }

  test('they begin here when there is some, and not in the queue', async () => {
    const { slots, executed, shared, overflow } = setting();
    for (let n = 0; n < 3; n += 1) slots.give();
    await overflow.settled();
    expect([executed, shared, overflow.size]).toEqual([['a', 'b', 'c'], [], 0]);
  });

  test('others get them when nothing ends here for a while', async () => {
    const { executed, shared, overflow } = setting();
    await overflow.settled();
    expect([executed, shared, overflow.size]).toEqual([[], ['a', 'b', 'c'], 0]);
  });

  test('a process that has nothing else to do keeps them until nobody wants them any more', async () => {
    const { executed, shared, aborter, overflow } = setting(true);
    setTimeout(() => aborter.abort(), 600);
    await overflow.settled();
    expect([executed, shared, overflow.size]).toEqual([[], [], 0]);
  });
});
