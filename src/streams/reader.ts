import type { Pool } from 'pg';
import type { Listener } from '../postgres/listener.ts';
import { isTransient } from '../postgres/transient.ts';
import { createNews, MOST_IN_VAIN } from '../runtime/news.ts';
import { hasChunk, STREAM_CHANNEL } from './chunks.ts';
import { watchForEnd } from './run-ended.ts';
import type { ChunkReads } from './shared-reads.ts';

/** A notification that got lost costs this long. */
const POLL_INTERVAL_MS = 1_000;

/**
 * The chunks of a stream from an index on, live, until its end mark, or until its run has ended
 * without one, or was removed. Polls beneath the notifications and outlives a database that is away
 * for a while.
 * @param closing ends the reading with an error
 */
export function createStreamReader(
  pool: Pool,
  reads: ChunkReads,
  listener: Listener,
  stream: string,
  startIndex: number,
  closing: AbortSignal,
): ReadableStream<Uint8Array> {
  let nextIndex = startIndex;
  const hasEnded = watchForEnd(pool, stream);
  const isLastThere = async () => nextIndex === startIndex || hasChunk(pool, stream, nextIndex - 1);
  const news = createNews({ mostInVain: MOST_IN_VAIN });
  let cancelled = false;
  let listening = false;
  let stop = () => {};

  const listen = () => {
    const stopListening = listener.on(STREAM_CHANNEL, (name) => {
      if (name === undefined || name === stream) news.announce();
    });
    closing.addEventListener('abort', news.announce);
    stop = () => {
      stopListening();
      closing.removeEventListener('abort', news.announce);
      stop = () => {};
    };
    listening = true;
  };

  /** Whether the next look can wait for news: the last one saw all there was. */
  let caughtUp = false;

  const look = () => reads.read(stream, nextIndex).catch(undefinedWhileAway);
  const looksOver = () => hasEnded(isLastThere).catch(undefinedWhileAway);

  /** Hands over what there is; false if that is nothing yet. */
  async function deliver(controller: ReadableStreamDefaultController<Uint8Array>): Promise<boolean> {
    let seen = await look();
    // Only where nothing came. In this order: a run that had ended before the chunks were read has no others.
    const runEnded = seen?.chunks.length === 0 && (await looksOver());
    if (runEnded) seen = await look();
    caughtUp = !seen?.more;
    // Away, which is not the same as empty.
    if (!seen) return false;
    const { chunks } = seen;
    if (chunks.length > 0) news.found();
    for (const { index, data, eof } of chunks) {
      if (cancelled) return true;
      if (eof) break;
      controller.enqueue(new Uint8Array(data));
      nextIndex = index + 1;
    }
    const ended = chunks.some(({ eof }) => eof) || (runEnded && chunks.length === 0);
    if (ended) {
      stop();
      controller.close();
    }
    return ended || chunks.length > 0;
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          if (!listening) {
            listen();
            // Whoever has never seen the run would wait for it when it was removed.
            await looksOver();
          }
          do {
            if (caughtUp) await news.wait(Math.min(POLL_INTERVAL_MS, listener.pollIntervalMs));
            if (closing.aborted) throw new Error(`The World was stopped while stream ${stream} was being read.`);
          } while (!cancelled && !(await deliver(controller)));
        } catch (error) {
          stop();
          throw error;
        }
      },
      cancel() {
        cancelled = true;
        stop();
        news.announce();
      },
    },
    { highWaterMark: 0 },
  );
}

function undefinedWhileAway(error: unknown): undefined {
  if (!isTransient(error)) throw error;
}
