import type { LanguageModelMiddleware } from 'ai';
import { closeModelCalls, openModelCall, type CallEnd, type TokenUsage } from '../postgres/model-calls.ts';
import { interrupting, patiently } from '../postgres/patiently.ts';
import { getCurrent } from '../runtime/current-world.ts';
import { currentStep, type StepScope } from '../runtime/scope.ts';
import { classify, NO_START, signsOf, TIMEOUT, toStepError, type Failure } from './failure.ts';
import { Observation, type CliMessage } from './observation.ts';
import type { Turns } from './turns.ts';

/** The AI SDK's current specification of a language model. */
export type Model = Parameters<NonNullable<LanguageModelMiddleware['wrapGenerate']>>[0]['model'];
export type StreamPart =
  Awaited<ReturnType<Model['doStream']>>['stream'] extends ReadableStream<infer Part> ? Part : never;
export type Finish = Pick<Extract<StreamPart, { type: 'finish' }>, 'usage' | 'finishReason'>;

/** What the model of one call is made with. */
export interface CallHooks {
  /** Fires when the answer is not wanted any more: whatever works on it is to be killed. */
  signal: AbortSignal;
  onMessage(message: CliMessage): void;
}

/** Where answers come from. */
export interface CallSource {
  /** As errors call it. */
  who: string;
  /** Those who wait for a turn do so before their call begins. */
  turns?: Turns;
  isSimulated(step: StepScope): boolean;
}

/** For the provider option of the same name: what {@link answerText} and the like tell about a call. */
export const CALL_OPTIONS = 'postgresWorld';

export interface CallOptions {
  /** From the beginning of the call, which may have waited for its turn. */
  timeoutMs?: number | undefined;
}

/** One attempt to get one answer. */
export interface Call extends CallHooks {
  /** Rejects when `signal` fires: the SDK takes two seconds to notice that its process was killed. */
  aborted: Promise<never>;
  /** Whether it is known already that no answer comes. */
  readonly failing: boolean;
  onToken(): void;
  completed(result: Finish): void;
  /**
   * @param failure where it is known from elsewhere
   * @returns the error for the step
   */
  failed(error: unknown, failure?: Failure): Error;
}

/** Why a call was killed by us. `failed`: what went wrong is known, or will be said. */
type Killed = 'failed' | 'timeout' | 'no start';

/** A CLI that hangs before its first message holds a turn; on a busy machine, starting takes some seconds. */
const START_PATIENCE_MS = 120_000;

/** `setTimeout` takes more for 1 ms. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** Begins a call of the current step: waits for its turn, and opens its row. */
export async function beginCall(
  model: string,
  { abortSignal, providerOptions }: { abortSignal?: AbortSignal; providerOptions?: object },
  { who, turns, isSimulated }: CallSource,
): Promise<Call> {
  const step = currentStep();
  const killer = new AbortController();
  const kill = (why: Killed) => killer.abort(why);
  const signal = AbortSignal.any([step.signal, killer.signal, ...(abortSignal ? [abortSignal] : [])]);
  await using opened = new AsyncDisposableStack();
  const giveTurn = (await turns?.take(signal)) ?? (() => {});
  opened.defer(giveTurn);
  const row = await open(model, step, isSimulated(step));
  const startedAt = performance.now();
  const { timeoutMs } = ((providerOptions ?? {}) as Record<string, CallOptions>)[CALL_OPTIONS] ?? {};
  const killAfter = (ms: number, why: Killed) => setTimeout(kill, Math.min(ms, LONGEST_TIMEOUT_MS), why);
  const timer = timeoutMs === undefined ? undefined : killAfter(timeoutMs, 'timeout');
  const startTimer = turns && killAfter(START_PATIENCE_MS, 'no start');
  opened.move();

  const observation = new Observation();
  let ended = false;

  /** Once, and at once: the row is written with the step's event, or after the step was given up. */
  const end = (outcome: CallEnd['outcome'], usage: TokenUsage, error?: string, apiStatus?: number) => {
    if (ended) return;
    ended = true;
    giveTurn();
    for (const it of [timer, startTimer]) clearTimeout(it);
    const since = (at: number | undefined) => (at === undefined ? undefined : Math.round(at - startedAt));
    const times = { firstTokenMs: since(observation.firstTokenAt), totalMs: since(performance.now()) };
    step.endedCalls.set(row, { outcome, ...usage, ...times, apiStatus, error });
  };

  /** Undefined: nobody has, but perhaps the call itself, which says why by its signs. */
  const whyAborted = (): Error | undefined => {
    // The step's result will be refused: nobody reads this but the log.
    if (step.signal.aborted) return new Error(String(step.signal.reason));
    const why = killer.signal.reason as Killed | undefined;
    if (why === 'timeout') return toStepError(TIMEOUT, step, `after ${(timeoutMs ?? 0) / 1_000} s`);
    if (why === 'no start') return toStepError(NO_START, step, `after ${START_PATIENCE_MS / 1_000} s`);
    return abortSignal?.aborted ? asError(abortSignal.reason) : undefined;
  };

  let thrown: Error | undefined;
  const explain = (error: unknown, known?: Failure): Error => {
    const aborted = observation.signs ? undefined : whyAborted();
    if (aborted) {
      end('aborted', observation.usage, aborted.message.split('\n')[0]);
      return aborted;
    }
    const signs = { ...signsOf(error), ...observation.signs };
    const failure = known ?? classify(error, signs);
    end('failed', observation.usage, failure.what, signs.status);
    return toStepError(failure, step, error, signs, who);
  };

  const call: Call = {
    signal,
    aborted: new Promise((_, reject) => {
      const onAbort = () => reject(call.failed(new Error('')));
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) setImmediate(onAbort);
    }),
    get failing() {
      return observation.signs !== undefined;
    },
    onMessage(message) {
      giveTurn();
      clearTimeout(startTimer);
      // It would keep its process waiting, for hours perhaps. When to come again, it has just said.
      if (observation.observe(message)) kill('failed');
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
    failed(error, failure) {
      thrown ??= explain(error, failure);
      // Only now: whoever hears of it asks for the error.
      kill('failed');
      return thrown;
    },
  };
  call.aborted.catch(() => undefined);
  return call;
}

/** A reason may be anything. */
function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

async function open(model: string, step: StepScope, simulated: boolean): Promise<string> {
  const { pool, config } = getCurrent()!;
  const { runId, stepId, execution, signal, endedCalls } = step;
  // A step of many calls may die before its event: what the earlier ones have used is known by now.
  const earlier = new Map(endedCalls);
  await patiently(() => closeModelCalls(pool, earlier));
  for (const id of earlier.keys()) endedCalls.delete(id);
  const call = { jobPrefix: config.jobPrefix, runId, stepId, execution, model, simulated };
  return interrupting(() => openModelCall(pool, call, signal));
}
