import { setTimeout as delay } from 'node:timers/promises';
import { getSerializeStream } from '@workflow/core/serialization';
import currentWorld from '../runtime/current-world.ts';
import { createNews } from '../runtime/news.ts';
import { currentStep } from '../runtime/scope.ts';

/**
 * What comes after a pause is sent at once. Tokens that arrive within this time after a flush become
 * one row and one notification: at the pace of a model, a shorter time means a row for each token.
 */
const FLUSH_INTERVAL_MS = 50;

/** Characters that are as long as what a row has beside them: three ids, and entries in two indexes. */
const FULL_ROW = 256;

/** For a row that is full, to wait longer saves little; to wait at all saves others the commits. */
const FULL_ROW_INTERVAL_MS = 5;

/** How long a step's error waits for the readers to be told; they see it by the next attempt, too. */
const SUPERSEDE_PATIENCE_MS = 1_000;

/** A chunk is plain data: none of the runtime's encodings for class instances, streams and the like. */
const NO_REDUCERS = {} as Parameters<typeof getSerializeStream>[0];

/** What `run.getReadable()` yields for a stream that was written by {@link openRunStream}. */
export interface TextChunk {
  /** Which execution of the step wrote it. A higher one supersedes everything that lower ones wrote. */
  attempt: number;
  /** Numbers the chunks of an attempt. One that comes again is the same one. */
  index: number;
  text: string;
  /** What this attempt wrote before does not count, because it failed; `text` is empty. */
  superseded?: true;
}

export interface RunStream {
  write(text: string): void;
  /**
   * What this execution has written does not count, because it failed. What is unsent is dropped, and
   * readers are told what is not. Waits a second at most, and never throws.
   */
  supersede(): Promise<void>;
  /**
   * Resolves once all that was written is durable; the end mark is written together with the step's result.
   * @throws what a flush failed with
   */
  end(): Promise<void>;
}

/**
 * The run's durable stream, for use inside a step. Unlike with the runtime's `getWritable()`, a reader
 * can tell what an execution has written that was cut off, or has failed: it shows nothing twice.
 * @param namespace for a second one; each is written by one step, whose result ends it
 */
export function openRunStream(namespace = ''): RunStream {
  const step = currentStep();
  const name = nameOfStream(step.runId, namespace);
  const world = currentWorld();
  let unsent = '';
  let index = 0;
  let failed = false;
  /** Somebody waits for it. */
  let urgent = false;
  /** From when on text is gathered, and from when on a full row is. */
  let gatheredFrom = -Infinity;
  let flushedAt = -Infinity;
  let flushing: Promise<void> | undefined;
  const news = createNews();

  async function put(content: Pick<TextChunk, 'text' | 'superseded'>): Promise<void> {
    // The answer is paid for: in a step, the World waits for the database as long as that lasts.
    await world.writeToStream(name, step.runId, await frame({ attempt: step.execution, index, ...content }));
    index += 1;
  }

  /** How long what is unsent has to wait; 0 or less: not at all. */
  function dueIn(): number {
    if (urgent) return 0;
    const due = unsent.length < FULL_ROW ? gatheredFrom + FLUSH_INTERVAL_MS : flushedAt + FULL_ROW_INTERVAL_MS;
    return due - performance.now();
  }

  async function flushUntilSent(): Promise<void> {
    urgent = false;
    // What is written in one go is one chunk.
    await Promise.resolve();
    while (unsent || failed) {
      let ms = dueIn();
      const isOnTime = ms > 0;
      for (; ms > 0; ms = dueIn()) await news.wait(ms);
      urgent = false;
      const begunAt = performance.now();
      if (failed && index > 0) await put({ text: '', superseded: true });
      failed = false;
      const text = unsent;
      unsent = '';
      if (text) await put({ text });
      flushedAt = performance.now();
      // The first one may have opened a connection, and one that is late says that the database is slow.
      gatheredFrom = isOnTime ? begunAt : flushedAt;
    }
    flushing = undefined;
  }

  function flush(): void {
    flushing ??= flushUntilSent();
    // Reported by `end`; until then nobody is there to await it.
    flushing.catch(() => undefined);
  }

  function hurry(): Promise<void> | undefined {
    urgent = true;
    news.announce();
    return flushing;
  }

  return {
    write(text) {
      const wasFull = unsent.length >= FULL_ROW;
      unsent += text;
      if (!flushing) flush();
      else if (!wasFull && unsent.length >= FULL_ROW) news.announce();
    },
    async supersede() {
      unsent = '';
      failed = true;
      flush();
      const told = hurry()?.catch(() => undefined);
      await Promise.race([told, delay(SUPERSEDE_PATIENCE_MS, undefined, { ref: false })]);
    },
    async end() {
      await hurry();
      step.endingStreams.add(name);
    },
  };
}

/** As the runtime names it. */
export function nameOfStream(runId: string, namespace = ''): string {
  const suffix = namespace && `_${Buffer.from(namespace).toString('base64url')}`;
  return `${runId.replace('wrun_', 'strm_')}_user${suffix}`;
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
