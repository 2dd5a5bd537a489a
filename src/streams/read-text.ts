import { getDeserializeStream } from '@workflow/core/serialization';
import type { World } from '@workflow/world';
import { nameOfStream, type TextChunk } from './run-stream.ts';

/** A chunk that counts, for somebody who has seen those before it. */
export interface TextPiece {
  /** Where it is in the stream: to read from it on, begin with this. */
  index: number;
  attempt: number;
  text: string;
  superseded?: true;
  /** Why what was seen before it does not count: its attempt has failed, or was cut off. */
  discards?: 'failed' | 'interrupted';
}

/** A chunk is plain data: none of the runtime's encodings for class instances, streams and the like. */
const NO_REVIVERS = {} as Parameters<typeof getDeserializeStream>[0];

/**
 * The text of a run's stream from chunk `from` on, live, until the stream or the run has ended, also
 * through times when the database is away. Holds no connection.
 */
export async function* readText(
  world: Pick<World, 'readFromStream'>,
  runId: string,
  from = 0,
): AsyncGenerator<TextPiece, void> {
  // From the beginning: whether a chunk counts depends on those before it.
  const bytes = await world.readFromStream(nameOfStream(runId), 0);
  const judge = createJudge();
  let index = 0;
  // Each row holds one chunk, so counting them gives their indexes.
  for await (const chunk of bytes.pipeThrough(getDeserializeStream(NO_REVIVERS, undefined))) {
    const piece = judge(chunk as TextChunk, index);
    index += 1;
    if (piece && piece.index >= from) yield piece;
  }
}

/** Tells chunks that count from those that came again, or late, from an execution that was given up. */
function createJudge(): (chunk: TextChunk, index: number) => TextPiece | undefined {
  /** Whether there is something that counts so far. */
  let seen = false;
  let last = { attempt: 0, index: -1 };
  return ({ attempt, index, text, superseded }, indexInStream) => {
    if (attempt < last.attempt || (attempt === last.attempt && index <= last.index)) return undefined;
    const interrupted = attempt > last.attempt;
    const discards = superseded ? 'failed' : interrupted ? 'interrupted' : undefined;
    const piece = { index: indexInStream, attempt, text, ...(superseded && { superseded }) };
    const isDiscarding = seen && discards !== undefined;
    last = { attempt, index };
    seen = !superseded;
    return isDiscarding ? { ...piece, discards } : piece;
  };
}
