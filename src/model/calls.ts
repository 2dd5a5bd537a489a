import { wrapLanguageModel, type LanguageModelMiddleware } from 'ai';
import { openModelCall, type CallEnd, type TokenUsage } from '../postgres/model-calls.ts';
import { getCurrent } from '../runtime/current-world.ts';
import { currentStep, type StepScope } from '../runtime/scope.ts';
import { classify, signsOf, TIMEOUT, toStepError } from './failure.ts';
import { Observation, type CliMessage } from './observation.ts';
import { isSimulated } from './simulated-api.ts';
import type { Turns } from './turns.ts';

/** The AI SDK's current specification of a language model. */
export type Model = Parameters<NonNullable<LanguageModelMiddleware['wrapGenerate']>>[0]['model'];
type StreamPart = Awaited<ReturnType<Model['doStream']>>['stream'] extends ReadableStream<infer Part> ? Part : never;
type Finish = Pick<Extract<StreamPart, { type: 'finish' }>, 'usage'>;

/** What the model of one call is made with. */
export interface CallHooks {
  /** Fires when the answer is not wanted any more: whatever works on it is to be killed. */
  signal: AbortSignal;
  onMessage(message: CliMessage): void;
}

/**
 * Any model of the AI SDK, with its calls in the ledger and its failures told apart as those of
 * `claudeCode` are; for use inside a step.
 */
export function recorded(model: Model): Model {
  return wrapLanguageModel({ model, middleware: inCalls(() => model) });
}

/**
 * Each call by a model of its own, with a row in the ledger.
 * @param createModel makes the one that answers
 * @param turns those who wait for one do so before their call begins
 */
export function inCalls(createModel: (hooks: CallHooks) => Model, turns?: Turns): LanguageModelMiddleware {
  return {
    async wrapGenerate({ params, model }) {
      const call = await beginCall(model.modelId, params.abortSignal, turns);
      try {
        const result = await createModel(call).doGenerate({ ...params, abortSignal: call.signal });
        call.completed(result);
        return result;
      } catch (error) {
        throw call.failed(error);
      }
    },

    async wrapStream({ params, model }) {
      const call = await beginCall(model.modelId, params.abortSignal, turns);
      try {
        const { stream, ...rest } = await createModel(call).doStream({ ...params, abortSignal: call.signal });
        return { ...rest, stream: stream.pipeThrough(watch(call)) };
      } catch (error) {
        throw call.failed(error);
      }
    },
  };
}

interface Call extends CallHooks {
  /** Whether it is known already that no answer comes. */
  readonly failing: boolean;
  onToken(): void;
  completed(result: Finish): void;
  /** @returns the error for the step */
  failed(error: unknown): Error;
}

/** Lets an answer pass, and nothing after it went wrong: the CLI writes its error messages where the answer was. */
function watch(call: Call): TransformStream<StreamPart, StreamPart> {
  let finished = false;
  return new TransformStream<StreamPart, StreamPart>({
    transform(part, controller) {
      if (part.type === 'text-delta') {
        if (call.failing) return;
        call.onToken();
      }
      if (part.type === 'finish' && !call.failing && part.finishReason.unified !== 'error') call.completed(part);
      const failed = part.type === 'error' || (part.type === 'finish' && call.failing);
      if (failed && !finished) {
        controller.enqueue({
          type: 'error',
          error: call.failed(part.type === 'error' ? part.error : new Error('no answer')),
        });
      }
      finished ||= failed || part.type === 'finish';
      if (part.type !== 'error') controller.enqueue(part);
    },
    flush(controller) {
      if (!finished) controller.enqueue({ type: 'error', error: call.failed(new Error('the answer has no end')) });
    },
    cancel: () => void call.failed(new Error('nobody reads the answer')),
  });
}

/** Begins a call of the current step: waits for its turn, and opens its row. */
async function beginCall(model: string, abortSignal: AbortSignal | undefined, turns?: Turns): Promise<Call> {
  const step = currentStep();
  const killer = new AbortController();
  const signal = AbortSignal.any([step.signal, killer.signal, ...(abortSignal ? [abortSignal] : [])]);
  const giveTurn = await turns?.take(signal);
  const row = await open(model, step).catch((error: unknown) => {
    giveTurn?.();
    throw error;
  });
  const startedAt = performance.now();
  const observation = new Observation();
  let ended = false;

  /** Once, and at once: the row is written with the step's event, or after the step was given up. */
  const end = (outcome: CallEnd['outcome'], usage: TokenUsage, error?: string, apiStatus?: number) => {
    if (ended) return;
    ended = true;
    giveTurn?.();
    signal.removeEventListener('abort', onAbort);
    const since = (at: number | undefined) => (at === undefined ? undefined : Math.round(at - startedAt));
    const times = { firstTokenMs: since(observation.firstTokenAt), totalMs: since(performance.now()) };
    step.endedCalls.set(row, { outcome, ...usage, ...times, apiStatus, error });
  };
  const onAbort = () => {
    if (!killer.signal.aborted) end('aborted', observation.usage, whyAborted(step, abortSignal).message);
  };
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();

  return {
    signal,
    get failing() {
      return observation.signs !== undefined;
    },
    onMessage(message) {
      giveTurn?.();
      // It would keep its process waiting, and mix two answers. When to come again, it has just said.
      if (observation.observe(message)) killer.abort('failed');
    },
    onToken() {
      observation.firstTokenAt ??= performance.now();
    },
    completed({ usage }) {
      const told = {
        inputTokens: usage.inputTokens.total,
        cachedTokens: usage.inputTokens.cacheRead,
        outputTokens: usage.outputTokens.total,
      };
      end('completed', { ...told, ...observation.usage });
    },
    failed(error) {
      if (!observation.signs && signal.aborted) return whyAborted(step, abortSignal);
      const signs = { ...signsOf(error), ...observation.signs };
      const failure = classify(error, signs);
      end('failed', observation.usage, failure.what, signs.status);
      killer.abort('failed');
      return toStepError(failure, step, error, signs);
    },
  };
}

/** What to throw when the answer is not wanted any more. */
export function whyAborted(step: StepScope, abortSignal: AbortSignal | undefined): Error {
  // The step's result will be refused: nobody reads this but the log.
  if (step.signal.aborted) return new Error(`The call was aborted: ${String(step.signal.reason)}`);
  const reason: unknown = abortSignal?.reason;
  if (!(reason instanceof Error)) return new Error(`The call was aborted: ${String(reason)}`);
  return reason.name === 'TimeoutError' ? toStepError(TIMEOUT, step, new Error('its process was killed')) : reason;
}

async function open(model: string, { runId, stepId, execution, deploymentId, signal }: StepScope): Promise<string> {
  const { pool, config } = getCurrent()!;
  const call = { jobPrefix: config.jobPrefix, runId, stepId, execution, model, simulated: isSimulated(deploymentId) };
  return openModelCall(pool, call, signal);
}
