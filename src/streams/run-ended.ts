import { decodeTime } from 'ulid';
import type { Pool } from 'pg';

/**
 * A run that nobody knows, this long after it was begun, was removed; before that, the message that
 * creates it may be waiting for a worker.
 */
const UNKNOWN_IS_REMOVED_MS = 3_600_000;

type RunState = 'unfinished' | 'ended' | 'unknown';

/**
 * Whether the run that a stream is named after is over. Then nothing comes any more, end mark or
 * not: a run that fails before its stream is ended must not leave readers waiting.
 */
export async function hasRunEnded(pool: Pool, stream: string): Promise<boolean> {
  const ulid = ulidOf(stream);
  return ulid !== undefined && isOver(await readRunState(pool, ulid), ulid);
}

/**
 * The same for somebody who reads on, and to whom the run may be removed meanwhile.
 * @returns asks once more; `isThere` tells whether the chunk that was read last is still there, for
 * a stream that has no run to ask
 */
export function watchForEnd(pool: Pool, stream: string): (isThere: () => Promise<boolean>) => Promise<boolean> {
  const ulid = ulidOf(stream);
  let known = false;
  return async (isThere) => {
    // Such a stream has no run to ask: health checks, streams in arguments, what users name themselves.
    if (!ulid) return !(await isThere());
    const state = await readRunState(pool, ulid);
    if (state === 'unknown' && known) return true;
    known ||= state !== 'unknown';
    return isOver(state, ulid);
  };
}

function isOver(state: RunState, ulid: string): boolean {
  return state === 'ended' || (state === 'unknown' && Date.now() - decodeTime(ulid) > UNKNOWN_IS_REMOVED_MS);
}

async function readRunState(pool: Pool, ulid: string): Promise<RunState> {
  const { rows } = await pool.query<{ ended: boolean }>(
    `SELECT status IN ('completed', 'failed', 'cancelled') AS ended FROM workflow.workflow_runs WHERE id = $1`,
    [`wrun_${ulid}`],
  );
  if (!rows[0]) return 'unknown';
  return rows[0].ended ? 'ended' : 'unfinished';
}

function ulidOf(stream: string): string | undefined {
  return /^strm_([0-7][0-9A-HJKMNP-TV-Z]{25})_user/.exec(stream)?.[1];
}

/** Of the run that a stream is named after, if it is. */
export function runIdOfStream(stream: string): string | undefined {
  const ulid = ulidOf(stream);
  return ulid && `wrun_${ulid}`;
}
