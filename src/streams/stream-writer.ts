import { createNews } from '../runtime/news.ts';

/** What comes after a pause is sent at once; what comes within this time after that is sent together. */
const FLUSH_INTERVAL_MS = 10;

/** Who has written so much that is not sent yet waits. The bytes of the chunks, and what each costs beside them. */
const MOST_UNSENT_BYTES = 1_000_000;
const CHUNK_OVERHEAD_BYTES = 200;

/** pg sends bytes as hexadecimal text. */
const MOST_BYTES_AT_ONCE = 4_000_000;

/** How long the end of a stream waits for the end of its step, to be written in the same transaction. */
const END_PATIENCE_MS = 250;

export interface StreamTarget {
  /** Waits for a database that is away. @throws what it cannot be written for, whoever tries */
  append(chunks: Uint8Array[]): Promise<void>;
  end(): Promise<void>;
  /** The stream is closed: whether its end mark is to be written with the result of its step. */
  mark(isEnding: boolean): void;
}

/** Sends the chunks of one stream, in order, and as many together as have come. */
export interface StreamWriter {
  /** @returns a promise where the writer has to wait until some of it is sent */
  write(chunk: Uint8Array): Promise<void> | undefined;
  close(): Promise<void> | undefined;
  /** The step's function has ended: nobody who writes has to wait any more, and the end mark is left to its event. */
  release(): void;
  /** What is not sent yet is dropped, and nothing is taken any more. */
  discard(): void;
  /** Resolves when everything is sent that was written until now. @throws what it cannot be sent for */
  flushed(): Promise<void>;
}

/** @param aborted nothing more is sent, unless it was released: somebody else may be executing the step */
export function createStreamWriter(target: StreamTarget, aborted: AbortSignal): StreamWriter {
  const news = createNews();
  let unsent: Uint8Array[] = [];
  let unsentBytes = 0;
  let flushing: Promise<void> | undefined;
  let begunAt = -Infinity;
  let released = false;
  let settling = false;
  let failure: { cause: unknown } | undefined;
  let room: PromiseWithResolvers<void> | undefined;
  /** The end mark is being written without the step's result. */
  let ended: Promise<void> | undefined;

  const fail = (cause: unknown) => {
    failure ??= { cause };
    unsent = [];
    room?.reject(cause);
    room = undefined;
  };

  function take(): Uint8Array[] {
    let bytes = 0;
    const end = unsent.findIndex((chunk, n) => (bytes += sizeOf(chunk)) > MOST_BYTES_AT_ONCE && n > 0);
    return unsent.splice(0, end < 0 ? unsent.length : end);
  }

  async function flushUntilSent(): Promise<void> {
    // What is written in one go is sent together.
    await Promise.resolve();
    while (unsent.length > 0) {
      for (let ms = dueIn(); ms > 0; ms = dueIn()) await news.wait(ms);
      if (unsent.length === 0 || (aborted.aborted && !released)) break;
      begunAt = performance.now();
      const chunks = take();
      await target.append(chunks);
      for (const chunk of chunks) unsentBytes -= sizeOf(chunk);
      if (unsentBytes <= MOST_UNSENT_BYTES) giveRoom();
    }
    flushing = undefined;
  }

  const dueIn = () => (released ? 0 : begunAt + FLUSH_INTERVAL_MS - performance.now());

  const giveRoom = () => {
    room?.resolve();
    room = undefined;
  };

  const flush = () => (flushing ??= flushUntilSent().catch(fail));

  const isFull = () => !released && unsentBytes > MOST_UNSENT_BYTES;

  const refuse = () => {
    if (failure) throw failure.cause;
    // Nobody makes room any more, and who waits is to come to an end.
    if (aborted.aborted && isFull()) throw new Error(`The step was aborted while it wrote: ${String(aborted.reason)}`);
  };

  aborted.addEventListener('abort', () => {
    if (released) return;
    room?.reject(new Error(`The step was aborted while it wrote: ${String(aborted.reason)}`));
    room = undefined;
  });

  const end = async () => {
    await flush();
    if (!failure) await target.end();
  };

  return {
    write(chunk) {
      refuse();
      unsent.push(chunk);
      unsentBytes += sizeOf(chunk);
      void flush();
      if (!isFull()) return undefined;
      room ??= Promise.withResolvers();
      return room.promise;
    },
    close() {
      refuse();
      // What it was left to may be on its way without it.
      if (settling) return end();
      target.mark(true);
      if (released) return undefined;
      setTimeout(() => {
        if (released || aborted.aborted) return;
        // The step goes on with something else, and its readers need not wait for that.
        target.mark(false);
        ended = end().catch(fail);
      }, END_PATIENCE_MS).unref();
      return undefined;
    },
    release() {
      released = true;
      giveRoom();
      news.announce();
    },
    discard: () => fail(new Error('The execution that wrote to this stream was cut off.')),
    async flushed() {
      settling = true;
      await flush();
      await ended;
      if (failure) throw failure.cause;
    },
  };
}

function sizeOf(chunk: Uint8Array): number {
  return chunk.byteLength + CHUNK_OVERHEAD_BYTES;
}
