import { setTimeout as delay } from 'node:timers/promises';
import { getSerializeStream } from '@workflow/core/serialization';
import currentWorld from '../runtime/current-world.ts';
import { currentStep } from '../runtime/scope.ts';

/** Tokens that arrive within this time become one row and one notification. */
const FLUSH_INTERVAL_MS = 50;

/** A chunk is plain data: none of the runtime's encodings for class instances, streams and the like. */
const NO_REDUCERS = {} as Parameters<typeof getSerializeStream>[0];

/** What `run.getReadable()` yields for a stream that was written by {@link openRunStream}. */
export interface TextChunk {
  /** Which execution of the step wrote it. A higher one supersedes everything that lower ones wrote. */
  attempt: number;
  text: string;
}

export interface RunStream {
  write(text: string): void;
  /**
   * Resolves once all that was written is durable; the end mark is written together with the step's result.
   * @throws what a flush failed with
   */
  end(): Promise<void>;
}

/**
 * The run's durable stream, for use inside a step. Unlike the runtime's `getWritable()`, whose last
 * chunks are flushed after the step's result was recorded, it loses nothing when the process dies.
 */
export function openRunStream(): RunStream {
  const step = currentStep();
  const name = `${step.runId.replace('wrun_', 'strm_')}_user`;
  const world = currentWorld();
  let unsent = '';
  let flushing: Promise<void> | undefined;

  async function flush(): Promise<void> {
    await delay(FLUSH_INTERVAL_MS);
    const text = unsent;
    unsent = '';
    if (text) await world.writeToStream(name, step.runId, await frame({ attempt: step.execution, text }));
    flushing = unsent ? flush() : undefined;
    await flushing;
  }

  return {
    write(text) {
      unsent += text;
      flushing ??= flush();
      // Reported by `end`; until then nobody is there to await it.
      flushing.catch(() => undefined);
    },
    async end() {
      await flushing;
      step.endingStreams.add(name);
    },
  };
}

/** One chunk in the framing of the runtime. */
async function frame(chunk: TextChunk): Promise<Uint8Array> {
  const { writable, readable } = getSerializeStream(NO_REDUCERS, undefined);
  const writer = writable.getWriter();
  const written = writer.write(chunk).then(() => writer.close());
  const { value } = await readable.getReader().read();
  await written;
  return value as Uint8Array;
}
