import type { Streamer } from '@workflow/world';
import type { Pool } from 'pg';
import { notify, type Listener } from '../postgres/listener.ts';
import { patiently } from '../postgres/patiently.ts';
import { DATABASE_PATIENCE_MS, retryTransient } from '../postgres/transient.ts';
import { stepInScope } from '../runtime/scope.ts';
import { appendChunks, measureStream, momentOf, readChunks, STREAM_CHANNEL } from './chunks.ts';
import { createStreamReader } from './reader.ts';
import { hasRunEnded } from './run-ended.ts';
import { shareReads } from './shared-reads.ts';

const encoder = new TextEncoder();

/**
 * The World's durable streams, on the table of world-postgres; see "Streams" in docs/ARCHITECTURE.md.
 * Whatever is asked of them waits for a database that is away.
 * @param now milliseconds since 1970, by the clock of the database
 */
export function createStreamer(
  pool: Pool,
  listener: Listener,
  closing: AbortSignal,
  now: () => number = Date.now,
): Streamer {
  const append = async (stream: string, runId: string, chunks: (string | Uint8Array)[], eof = false) => {
    const bytes = chunks.map((chunk) => (typeof chunk === 'string' ? encoder.encode(chunk) : chunk));
    const at = momentOf(now());
    const over = stepInScope()?.over;
    const put = (again: boolean) => appendChunks(pool, stream, runId, bytes, { eof, at, again });
    // What a step writes is paid for: it waits for as long as its execution lasts.
    await (over?.aborted === false ? retryTransient(put, Infinity, over) : retryTransient(put, DATABASE_PATIENCE_MS));
    // A hint: readers poll beneath it, and the chunk is written.
    await notify(pool, STREAM_CHANNEL, stream).catch(() => undefined);
  };

  const reads = shareReads(pool);

  const measure = async (stream: string) => {
    // In this order: a run that had ended before the measuring has no further chunks.
    const runEnded = await hasRunEnded(pool, stream);
    const { length, ended } = await measureStream(pool, stream);
    return { length, done: ended || runEnded };
  };

  return {
    writeToStream: (stream, runId, chunk) => append(stream, runId, [chunk]),
    writeToStreamMulti: (stream, runId, chunks) => append(stream, runId, chunks),
    closeStream: (stream, runId) => append(stream, runId, [], true),

    async readFromStream(stream, startIndex = 0) {
      const measured = () => patiently(() => measureStream(pool, stream));
      const first = startIndex < 0 ? (await measured()).length + startIndex : startIndex;
      return createStreamReader(pool, reads, listener, stream, Math.max(0, first), closing);
    },

    listStreamsByRunId: (runId) =>
      patiently(async () => {
        const { rows } = await pool.query<{ name: string }>(
          'SELECT DISTINCT stream_id AS name FROM workflow.workflow_stream_chunks WHERE run_id = $1 ORDER BY 1',
          [runId],
        );
        return rows.map(({ name }) => name);
      }),

    getStreamChunks: (stream, _runId, options) =>
      patiently(async () => {
        const limit = Math.min(options?.limit ?? 100, 1_000);
        const from = options?.cursor ? Number(options.cursor) : 0;
        const { length, done } = await measure(stream);
        const chunks = await readChunks(pool, stream, from, Math.min(limit, Math.max(0, length - from)));
        const next = from + chunks.length;
        return {
          data: chunks.map(({ index, data }) => ({ index, data: new Uint8Array(data) })),
          cursor: next < length ? String(next) : null,
          hasMore: next < length,
          done,
        };
      }),

    getStreamInfo: (stream) =>
      patiently(async () => {
        const { length, done } = await measure(stream);
        return { tailIndex: length - 1, done };
      }),
  };
}
