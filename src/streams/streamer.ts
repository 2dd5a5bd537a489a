import type { Streamer } from '@workflow/world';
import type { Pool } from 'pg';
import { notify, type Listener } from '../postgres/listener.ts';
import { appendChunks, measureStream, readChunks, STREAM_CHANNEL } from './chunks.ts';
import { createStreamReader } from './reader.ts';
import { hasRunEnded } from './run-ended.ts';
import { shareReads } from './shared-reads.ts';

const encoder = new TextEncoder();

/** The World's durable streams, on the table of world-postgres; see "Streams" in docs/ARCHITECTURE.md. */
export function createStreamer(pool: Pool, listener: Listener, closing: AbortSignal): Streamer {
  const append = async (stream: string, runId: string, chunks: (string | Uint8Array)[], eof = false) => {
    const bytes = chunks.map((chunk) => (typeof chunk === 'string' ? encoder.encode(chunk) : chunk));
    await appendChunks(pool, stream, runId, bytes, eof);
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
    streamFlushIntervalMs: 10,
    writeToStream: (stream, runId, chunk) => append(stream, runId, [chunk]),
    writeToStreamMulti: (stream, runId, chunks) => append(stream, runId, chunks),
    closeStream: (stream, runId) => append(stream, runId, [], true),

    async readFromStream(stream, startIndex = 0) {
      const first = startIndex < 0 ? (await measureStream(pool, stream)).length + startIndex : startIndex;
      return createStreamReader(pool, reads, listener, stream, Math.max(0, first), closing);
    },

    async listStreamsByRunId(runId) {
      const { rows } = await pool.query<{ name: string }>(
        'SELECT DISTINCT stream_id AS name FROM workflow.workflow_stream_chunks WHERE run_id = $1 ORDER BY 1',
        [runId],
      );
      return rows.map(({ name }) => name);
    },

    async getStreamChunks(stream, _runId, options) {
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
    },

    async getStreamInfo(stream) {
      const { length, done } = await measure(stream);
      return { tailIndex: length - 1, done };
    },
  };
}
