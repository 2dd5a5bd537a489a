import { AsyncLocalStorage } from 'node:async_hooks';
import type { UnderlyingSink } from 'node:stream/web';
import { WorkflowServerWritableStream } from '@workflow/core/serialization';
import type { Streamer } from '@workflow/world';
import { stepInScope } from '../runtime/scope.ts';
import type { Target } from './step-streams.ts';

/** What is told the target of a sink of the runtime, while that is asked for it. */
const asking = new AsyncLocalStorage<(target: Target) => void>();

/** A streamer that ends no stream where a sink was only asked what it writes to. */
export function answerSinks(streams: Streamer): Streamer {
  return {
    ...streams,
    async closeStream(stream, runId) {
      const tell = asking.getStore();
      if (tell) tell({ stream, runId });
      else await streams.closeStream(stream, runId);
    },
  };
}

/**
 * What a sink of the runtime writes to, which it tells nobody: it is closed, and has nothing to write,
 * so all that it does is to ask the World to end its stream.
 * @throws Error if this is another runtime than the one that this was made for
 */
async function targetOf({ close }: UnderlyingSink<Uint8Array>): Promise<Target> {
  let target: Target | undefined;
  await asking.run(
    (told) => (target = told),
    async () => close?.(),
  );
  if (!target)
    throw new Error('This version of @workflow/core ends its streams in another way: see src/streams/runtime-sinks.ts');
  return target;
}

/** Takes the place of `WritableStream` as what the runtime's stream to the World extends. */
class StepWritable extends WritableStream {
  constructor(sink: UnderlyingSink<Uint8Array>) {
    super(stepInScope()?.streams.open(targetOf(sink)) ?? sink);
  }
}

/**
 * Has the streams that the runtime opens in a step (by `getWritable()`, for an argument, for a result)
 * write to the step's own: see step-streams.ts. The runtime's sink hides what it has not sent yet, and
 * sends one chunk after the other, 10 ms apart. No file is changed: its class calls the constructor of
 * whatever it inherits from at that moment, and this is where another one is put.
 */
export function interceptRuntimeSinks(): void {
  Object.setPrototypeOf(WorkflowServerWritableStream, StepWritable);
}

/** @throws Error if the runtime's streams are not what {@link interceptRuntimeSinks} takes them for */
export async function checkRuntimeSinks(): Promise<void> {
  let opened: Promise<Target> | undefined;
  class Probe extends WritableStream {
    constructor(sink: UnderlyingSink<Uint8Array>) {
      super();
      opened = targetOf(sink);
    }
  }
  Object.setPrototypeOf(WorkflowServerWritableStream, Probe);
  try {
    void new WorkflowServerWritableStream('stream', 'run');
  } finally {
    interceptRuntimeSinks();
  }
  const told = await opened;
  if (told?.stream !== 'stream' || told.runId !== 'run')
    throw new Error(
      'This version of @workflow/core writes its streams in another way: see src/streams/runtime-sinks.ts',
    );
}
