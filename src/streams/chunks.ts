import type { ClientBase, Pool } from 'pg';

/** Announces the name of a stream that has something new. */
export const STREAM_CHANNEL = 'workflow_stream';

/** Decimal digits of an index in a chunk's id: as long as the ULID that world-postgres puts there. */
const INDEX_DIGITS = 26;
const UNIQUE_VIOLATION = '23505';

/** One step down the primary key. `max(substr(id, 6))` reads the whole stream: 13 ms at 10,000 chunks. */
const LAST_INDEX = `
  (SELECT substr(id, 6)::numeric FROM workflow.workflow_stream_chunks WHERE stream_id = $1 ORDER BY id DESC LIMIT 1)`;

/** The id of the n-th new chunk, n from 1. */
const NEXT_ID = `'chnk_' || lpad((coalesce(${LAST_INDEX}, -1) + n)::text, ${INDEX_DIGITS}, '0')`;

export interface Chunk {
  index: number;
  data: Buffer;
  /** The end mark; `data` is empty. Whatever comes after the first one does not count. */
  eof: boolean;
}

export interface AppendOptions {
  /** The end mark behind the chunks. */
  eof?: boolean;
  /**
   * When this append began, by {@link momentOf}. Tells it from all others of the stream when it is
   * tried again.
   */
  at?: string;
  /** An answer was lost, so it may be there already. */
  again?: boolean;
}

/**
 * Appends chunks, in one statement. The id of a chunk is its index in the stream, so two writers that
 * reach for the same one meet in the primary key; the second tries again. One that was tried before
 * looks whether it is there, in the same snapshot from which it takes the next index: should its first
 * try be committed after that, the two meet as well.
 */
export async function appendChunks(
  pool: Pool,
  stream: string,
  runId: string,
  chunks: readonly Uint8Array[],
  { eof = false, at = momentOf(Date.now()), again = false }: AppendOptions = {},
): Promise<void> {
  const data = chunks.map((chunk) => Buffer.from(chunk));
  if (eof) data.push(Buffer.alloc(0));
  const unlessThere = again
    ? 'WHERE NOT EXISTS (SELECT FROM workflow.workflow_stream_chunks WHERE stream_id = $1 AND created_at = $6)'
    : '';
  for (;;) {
    try {
      await pool.query(
        `INSERT INTO workflow.workflow_stream_chunks (id, stream_id, run_id, data, eof, created_at)
         SELECT ${NEXT_ID}, $1, $2, data, $4 AND n = $5, $6::timestamp
         FROM unnest($3::bytea[]) WITH ORDINALITY AS chunk (data, n) ${unlessThere}`,
        [stream, runId, data, eof, data.length, at],
      );
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
    }
  }
}

/** A timestamp in UTC, to a microsecond, three digits of which are made up. */
export function momentOf(milliseconds: number): string {
  const made = String(Math.floor(Math.random() * 1_000)).padStart(3, '0');
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${made}`;
}

/** Writes the end mark, mostly in an open transaction, unless there is one. */
export async function endStream(client: ClientBase | Pool, stream: string, runId: string): Promise<void> {
  for (;;) {
    // A late writer that takes the same index first must not abort the transaction: look again.
    const { rowCount } = await client.query(
      `INSERT INTO workflow.workflow_stream_chunks (id, stream_id, run_id, data, eof)
       SELECT ${NEXT_ID}, $1, $2, '', true FROM (SELECT 1 AS n) AS chunk
       WHERE NOT EXISTS (SELECT FROM workflow.workflow_stream_chunks WHERE stream_id = $1 AND eof)
       ON CONFLICT DO NOTHING`,
      [stream, runId],
    );
    if (rowCount === 1) return;
    const { rowCount: ends } = await client.query(
      'SELECT FROM workflow.workflow_stream_chunks WHERE stream_id = $1 AND eof LIMIT 1',
      [stream],
    );
    if (ends === 1) return;
  }
}

/** Chunks from `startIndex` on, in order, at most `limit`. */
export async function readChunks(pool: Pool, stream: string, startIndex: number, limit: number): Promise<Chunk[]> {
  const { rows } = await pool.query<{ id: string; data: Buffer; eof: boolean }>(
    `SELECT id, data, eof FROM workflow.workflow_stream_chunks
     WHERE stream_id = $1 AND id >= $2 ORDER BY id LIMIT $3`,
    [stream, chunkId(startIndex), limit],
  );
  return rows.map(({ id, data, eof }) => ({ index: indexOf(id), data, eof }));
}

export async function hasChunk(pool: Pool, stream: string, index: number): Promise<boolean> {
  const { rowCount } = await pool.query(
    'SELECT FROM workflow.workflow_stream_chunks WHERE stream_id = $1 AND id = $2',
    [stream, chunkId(index)],
  );
  return rowCount === 1;
}

/** How many chunks there are before the end, and whether the end was written. */
export async function measureStream(pool: Pool, stream: string): Promise<{ length: number; ended: boolean }> {
  const { rows } = await pool.query<{ last: string | null; end: string | null }>(
    `SELECT max(id) AS last, min(id) FILTER (WHERE eof) AS end
     FROM workflow.workflow_stream_chunks WHERE stream_id = $1`,
    [stream],
  );
  const { last = null, end = null } = rows[0] ?? {};
  if (end !== null) return { length: indexOf(end), ended: true };
  return { length: last === null ? 0 : indexOf(last) + 1, ended: false };
}

function chunkId(index: number): string {
  return `chnk_${String(index).padStart(INDEX_DIGITS, '0')}`;
}

function indexOf(id: string): number {
  return Number(id.slice('chnk_'.length));
}
