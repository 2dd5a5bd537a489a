import { setTimeout as delay } from 'node:timers/promises';
import type { Job, PgBoss } from 'pg-boss';
import type { TaskHealth } from '../health/health.ts';
import { createNews, MOST_IN_VAIN } from '../runtime/news.ts';
import type { Slots } from './slots.ts';

/** Finds delayed jobs and retries, which nothing announces. */
const POLL_INTERVAL_MS = 500;
const AFTER_ERROR_MS = 1_000;

/** So long after a full portion, other workers that heard of the jobs come first. */
const TURN_OF_OTHERS_MS = 20;

/** How long a backlog waits for as many slots as a portion has. */
const GATHER_MS = 100;

export interface FetchLoop {
  /** There may be a new job. */
  announce(): void;
  /** No more jobs; resolves when the last one that was fetched is finished. */
  stop(): Promise<void>;
}

export interface FetchLoopOptions {
  boss: PgBoss;
  health: TaskHealth;
  queues: readonly string[];
  slots: Slots;
  /** What it rejects with is its own business. */
  handle(queue: string, job: Job<unknown>): Promise<void>;
  /** Where it must be shorter than half a second, for want of notifications. */
  pollIntervalMs: number;
  /**
   * Of a backlog, how many jobs are fetched by one statement: no more, so that other workers get theirs, and no
   * fewer if slots get free soon. Otherwise, whoever comes first takes as many as there are free slots.
   */
  portion?: number;
}

/**
 * Fetches jobs for the free slots, one at least, whenever there is news and at least every half second.
 * (`work()` of pg-boss sleeps a whole polling interval after a job, which strands a backlog, or
 * fetches no more until the slowest job of its batch is done.)
 */
export function createFetchLoop(options: FetchLoopOptions): FetchLoop {
  const { boss, health, queues, slots, handle, pollIntervalMs, portion } = options;
  const news = createNews({ mostInVain: MOST_IN_VAIN });
  const handling = new Set<Promise<void>>();
  const backlogs = new Set<string>();
  let stopping = false;
  let turn = 0;

  async function fetchFrom(queue: string): Promise<void> {
    if (portion !== undefined && backlogs.delete(queue)) {
      await delay(TURN_OF_OTHERS_MS);
      await slots.several(portion, GATHER_MS);
    }
    if (stopping) return;
    let asked = 0;
    const fetch = (free: number) => {
      asked = Math.min(free, portion ?? free);
      return boss.fetch<unknown>(queue, { batchSize: asked });
    };
    const jobs = await slots.fill(POLL_INTERVAL_MS, fetch);
    for (const job of jobs) {
      const handled = handle(queue, job)
        .catch(() => undefined)
        .finally(() => {
          handling.delete(handled);
          slots.give();
        });
      handling.add(handled);
    }
    if (jobs.length > 0 || asked === 0) news.found();
    // A full batch may have left more behind; without a slot, nobody has looked.
    if (jobs.length === asked) news.announce();
    if (jobs.length === asked && asked > 0) backlogs.add(queue);
  }

  /** Each time beginning with another one: a backlog in one queue must not starve the next. */
  async function fetchFromAll(): Promise<void> {
    turn += 1;
    for (let n = 0; n < queues.length && !stopping; n += 1) await fetchFrom(queues[(turn + n) % queues.length]!);
  }

  const looping = (async () => {
    while (!stopping) {
      try {
        await fetchFromAll();
        health.worked();
        await news.wait(Math.min(POLL_INTERVAL_MS, pollIntervalMs));
      } catch (error) {
        if (!stopping) health.failed(error);
        await news.wait(AFTER_ERROR_MS);
      }
    }
  })();

  return {
    announce: news.announce,
    async stop() {
      stopping = true;
      news.announce();
      await looping;
      await Promise.all(handling);
    },
  };
}
