import { once } from 'node:events';
import type { UnderlyingSink } from 'node:stream/web';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AnyEventRequest } from '@workflow/world';
import currentWorld from '../runtime/current-world.ts';
import { LeaseLostError, type StepScope } from '../runtime/scope.ts';
import { createStreamWriter, type StreamWriter } from './stream-writer.ts';

/** Where a stream of the runtime goes to: perhaps one of another run, which was given to this one. */
export interface Target {
  stream: string;
  runId: string;
}

/** What one execution of a step writes through the runtime's own streams. */
export interface StepStreams {
  /** Whether it has opened any. */
  readonly opened: boolean;
  /** Stream → run: those that it has closed, whose end mark nobody has written yet. */
  readonly ending: ReadonlyMap<string, string>;
  /** What a stream of the runtime writes to. */
  open(target: Promise<Target>): UnderlyingSink<Uint8Array>;
  /** The execution was cut off: what is not sent yet is dropped, and the next one writes it again. */
  discard(): void;
  /**
   * Its function has ended. Resolves when all that it had written until then is durable; the ends are
   * left to the event that ends the execution. What it goes on to write is written, and not waited for.
   * @throws what a stream cannot be written for, whoever tries
   */
  drain(): Promise<void>;
}

/** @param aborted fires when the execution is not wanted: nothing more is sent, unless it is drained */
export function createStepStreams(aborted: AbortSignal): StepStreams {
  const writers = new Map<string, StreamWriter>();
  const ending = new Map<string, string>();
  let opened = false;
  let isDraining = false;

  const writerOf = ({ stream, runId }: Target): StreamWriter => {
    const known = writers.get(stream);
    if (known) return known;
    const world = currentWorld();
    const writer = createStreamWriter(
      {
        append: (chunks) => world.writeToStreamMulti!(stream, runId, chunks),
        end: () => world.closeStream(stream, runId),
        // Read by the event that ends the execution, which then writes it.
        mark: (isEnding) => void (isEnding ? ending.set(stream, runId) : ending.delete(stream)),
      },
      aborted,
    );
    writers.set(stream, writer);
    return writer;
  };

  return {
    get opened() {
      return opened;
    },
    ending,
    open(target) {
      opened = true;
      let writer: StreamWriter;
      return {
        async start() {
          writer = writerOf(await target);
          if (isDraining) writer.release();
        },
        write: (chunk) => writer.write(chunk),
        close: () => writer.close(),
      };
    },
    discard() {
      for (const writer of writers.values()) writer.discard();
    },
    async drain() {
      isDraining = true;
      for (const writer of writers.values()) writer.release();
      // What was written is on its way through pipes of the runtime, which do not wait for anything now.
      await nextTurn();
      const flushed = await Promise.allSettled([...writers.values()].map((writer) => writer.flushed()));
      for (const outcome of flushed) if (outcome.status === 'rejected') throw outcome.reason;
    },
  };
}

/**
 * The event that ends a step's execution, once all is committed that the execution has written.
 * @returns a failure in place of a result, if what it wrote cannot be stored: no execution of it could
 * @throws {@link refusalOf} a failure of an execution that was aborted meanwhile
 */
export async function drained(step: StepScope, event: AnyEventRequest): Promise<AnyEventRequest> {
  const problem = step.streams.drain().then(
    () => undefined,
    (error: unknown) => error as Error,
  );
  if (event.eventType !== 'step_completed') {
    await Promise.race([problem, once(step.signal, 'abort')]);
    if (!step.signal.aborted) return event;
    throw refusalOf(step, event);
  }
  const error = await problem;
  if (!error) return event;
  const { stepName } = event.eventData;
  const message = `What the step wrote cannot be stored: ${error.message}`;
  const eventData = { ...(stepName !== undefined && { stepName }), error: message, stack: error.stack ?? message };
  return { ...event, eventType: 'step_failed', eventData };
}

/** Why an event of an execution that was aborted is not written: somebody else goes on, or it is delivered again. */
export function refusalOf({ signal, interruptedBy }: StepScope, { eventType }: AnyEventRequest): Error {
  const message = `${eventType} refused: the execution was aborted (${String(signal.reason)})`;
  return interruptedBy === undefined ? new LeaseLostError(message) : new Error(message, { cause: interruptedBy });
}
