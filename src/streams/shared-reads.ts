import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Pool } from 'pg';
import { readChunks, type Chunk } from './chunks.ts';

const CHUNKS_PER_READ = 200;

export interface ChunkReads {
  /** Chunks from `startIndex` on, in order; `more` if there may be others. */
  read(stream: string, startIndex: number): Promise<{ chunks: readonly Chunk[]; more: boolean }>;
}

/**
 * Reads that a process makes once for all who ask for the same: a notification wakes every reader of
 * its stream, and those that follow it live are all at the same chunk.
 */
export function shareReads(pool: Pool): ChunkReads {
  const pending = new Map<string, ReturnType<ChunkReads['read']>>();

  async function readSoon(key: string, stream: string, startIndex: number) {
    // Nobody joins a statement that was sent: it does not see what was announced since.
    await nextTurn();
    pending.delete(key);
    const chunks = await readChunks(pool, stream, startIndex, CHUNKS_PER_READ);
    return { chunks, more: chunks.length === CHUNKS_PER_READ };
  }

  return {
    read(stream, startIndex) {
      const key = `${startIndex} ${stream}`;
      const reading = pending.get(key) ?? readSoon(key, stream, startIndex);
      pending.set(key, reading);
      return reading;
    },
  };
}
