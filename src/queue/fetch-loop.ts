import type { Job, PgBoss } from 'pg-boss';
import { createNews } from '../runtime/news.ts';
import type { JobData } from './messages.ts';
import type { Slots } from './slots.ts';

/** Finds delayed jobs and retries, which nothing announces. */
const POLL_INTERVAL_MS = 500;
const AFTER_ERROR_MS = 1_000;

export interface FetchLoop {
  /** There may be a new job. */
  announce(): void;
  /** No more jobs; resolves when the last one that was fetched is finished. */
  stop(): Promise<void>;
}

/**
 * Fetches as many jobs as there are free slots, one at least, whenever there is news and at least every half
 * second.
 * (`work()` of pg-boss sleeps a whole polling interval after a job, which strands a backlog, or
 * fetches no more until the slowest job of its batch is done.)
 * @param handle what it rejects with is its own business
 * @param pollIntervalMs where that must be shorter, for want of notifications
 */
export function createFetchLoop(
  boss: PgBoss,
  queues: readonly string[],
  slots: Slots,
  handle: (queue: string, job: Job<JobData>) => Promise<void>,
  pollIntervalMs: number,
): FetchLoop {
  const news = createNews();
  const handling = new Set<Promise<void>>();
  let stopping = false;
  let turn = 0;
  async function fetchFrom(queue: string): Promise<void> {
    let asked = 0;
    const fetch = (batchSize: number) => boss.fetch<JobData>(queue, { batchSize: (asked = batchSize) });
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
    // A full batch may have left more behind; without a slot, nobody has looked.
    if (jobs.length === asked) news.announce();
  }

  /** Each time beginning with another one: a backlog in one queue must not starve the next. */
  async function fetchFromAll(): Promise<void> {
    for (let n = 0; n < queues.length && !stopping; n += 1) await fetchFrom(queues[(turn + n) % queues.length]!);
    turn += 1;
  }

  const looping = (async () => {
    while (!stopping) {
      const failed = await fetchFromAll().then(
        () => false,
        () => true,
      );
      await news.wait(failed ? AFTER_ERROR_MS : Math.min(POLL_INTERVAL_MS, pollIntervalMs));
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
