import { wrapLanguageModel, type LanguageModelMiddleware } from 'ai';
import {
  beginCall,
  type Call,
  type CallHooks,
  type CallSource,
  type Finish,
  type Model,
  type StreamPart,
} from './call.ts';
import { ENDED_EARLY, REFUSAL, TOO_LONG, type Failure } from './failure.ts';

/**
 * Any model of the AI SDK, with its calls in the ledger and its failures told apart as those of
 * `claudeCode` are; for use inside a step. It is asked in simulated runs, too.
 */
export function recorded(model: Model): Model {
  const source = { createModel: () => model, who: model.provider, isSimulated: () => false };
  return wrapLanguageModel({ model, middleware: inCalls(source) });
}

export interface ModelSource extends CallSource {
  /** Makes the model that answers one call. */
  createModel(hooks: CallHooks): Model;
}

/** Each call by a model of its own, with a row in the ledger. */
export function inCalls(source: ModelSource): LanguageModelMiddleware {
  return {
    async wrapGenerate({ params, model }) {
      const call = await beginCall(model.modelId, params, source);
      try {
        const answer = source.createModel(call).doGenerate({ ...params, abortSignal: call.signal });
        const result = await Promise.race([answer, call.aborted]);
        const failure = judge(result.finishReason);
        if (failure || call.failing) throw call.failed(new Error('The answer is not whole.'), failure);
        call.completed(result);
        return result;
      } catch (error) {
        throw call.failed(error);
      }
    },

    async wrapStream({ params, model }) {
      const call = await beginCall(model.modelId, params, source);
      try {
        const { stream, ...rest } = await source.createModel(call).doStream({ ...params, abortSignal: call.signal });
        return { ...rest, stream: stream.pipeThrough(watch(call)) };
      } catch (error) {
        throw call.failed(error);
      }
    },
  };
}

/** Lets an answer pass, and nothing after it went wrong: the CLI writes its error messages where the answer was. */
function watch(call: Call): TransformStream<StreamPart, StreamPart> {
  let ended = false;
  const fail = (controller: TransformStreamDefaultController<StreamPart>, error: unknown, failure?: Failure) => {
    if (ended) return;
    ended = true;
    controller.enqueue({ type: 'error', error: call.failed(error, failure) });
    controller.terminate();
  };
  return new TransformStream<StreamPart, StreamPart>({
    start(controller) {
      call.aborted.catch((error: unknown) => fail(controller, error));
    },
    transform(part, controller) {
      if (part.type === 'error') return fail(controller, part.error);
      if (part.type === 'text-delta') {
        if (call.failing) return;
        call.onToken();
      }
      if (part.type === 'finish') {
        const failure = judge(part.finishReason);
        if (failure || call.failing) return fail(controller, new Error('The answer is not whole.'), failure);
        ended = true;
        call.completed(part);
      }
      controller.enqueue(part);
    },
    flush: (controller) => fail(controller, new Error('the answer has no end')),
    // Not by the AI SDK, which keeps on reading what its caller has left: there, the end of the step ends the call.
    cancel() {
      ended = true;
      call.failed(new Error('nobody reads the answer'));
    },
  });
}

/** What is wrong with an answer that ended so; undefined: nothing. */
function judge({ unified, raw }: Finish['finishReason']): Failure | undefined {
  if (unified === 'length') return TOO_LONG;
  if (unified === 'content-filter') return REFUSAL;
  return unified === 'error' || raw === 'pause_turn' ? ENDED_EARLY : undefined;
}
