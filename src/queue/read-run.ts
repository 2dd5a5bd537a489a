import { CorruptedEventLogError } from '@workflow/errors';
import type { Pool } from 'pg';
import { readEvents } from '../postgres/event-rows.ts';
import { readProgress, type RunProgress } from '../postgres/run-progress.ts';
import { retryTransient } from '../postgres/transient.ts';
import type { RunLog } from '../runtime/run-log.ts';

const PATIENCE_MS = 3_000;

export interface RunReaderOptions {
  pool: Pool;
  runId: string;
  log: RunLog;
  /** Fires when the run is not ours any more. */
  signal: AbortSignal;
  /** How long a driver may go on without looking whether others have written something. */
  pollIntervalMs: number;
  /** The log was found to be another one: a crash of the server has taken what was not flushed. */
  onForgotten(): void;
}

/**
 * Brings a driver's log up to date before each replay. Not where there is no doubt of it: it was just opened, or
 * all since is of its own, above all a result before which nothing was new (rule `nothing-between` of the model):
 * that has told what there is, and has ended the counting of deaths.
 * @returns the `wake_seq` of which the log misses nothing: what the replay does not see is news
 */
export function createRunReader(options: RunReaderOptions): () => Promise<Pick<RunProgress, 'wakeSeq' | 'deaths'>> {
  const { pool, runId, log, signal, pollIntervalMs, onForgotten } = options;
  let lookAgainAt = performance.now() + pollIntervalMs;
  const readNews = () =>
    readEvents(pool, runId, log.lastId).catch((error: unknown) => {
      // What cannot be read, the replay is to find out, which fails the run: it begins with reading the whole log.
      if (!CorruptedEventLogError.is(error)) throw error;
      log.forget();
      return undefined;
    });
  return async () => {
    if (log.wakeSeq !== undefined && performance.now() < lookAgainAt) return { wakeSeq: log.wakeSeq, deaths: 0 };
    let load = log.beginReading();
    const progress = await retryTransient(() => readProgress(pool, runId, log.lastId), PATIENCE_MS, signal);
    lookAgainAt = performance.now() + pollIntervalMs;
    const { wakeSeq, lastEventId, hasForgotten } = progress;
    if (hasForgotten) {
      log.forget();
      onForgotten();
      load = log.beginReading();
    }
    // The number before the events.
    const isNews = log.lastId !== lastEventId;
    const events = log.run && (isNews ? await readNews() : []);
    if (events) load(events, wakeSeq, lastEventId);
    return progress;
  };
}
