import { setTimeout as delay } from 'node:timers/promises';
import { wrapLanguageModel, type LanguageModelMiddleware } from 'ai';
import { closeModelCall, openModelCall, type CallEnd } from '../postgres/model-calls.ts';
import { getCurrent } from '../runtime/current-world.ts';
import { currentStep } from '../runtime/scope.ts';
import { isSimulated } from './simulated-api.ts';

/** So long the end of an answer is held back for the ledger; the writing goes on beside it. */
const CLOSE_PATIENCE_MS = 1_000;

/** The AI SDK's current specification of a language model. */
type Model = Parameters<NonNullable<LanguageModelMiddleware['wrapGenerate']>>[0]['model'];
type Generated = Awaited<ReturnType<Model['doGenerate']>>;
type StreamPart = Awaited<ReturnType<Model['doStream']>>['stream'] extends ReadableStream<infer Part> ? Part : never;

/**
 * A model whose calls are written down in `workflow_engine.model_calls`: a row before each call, so
 * that one whose process died is known, completed by what it used when it ends.
 */
export function inLedger(model: Model): Model {
  return wrapLanguageModel({ model, middleware: ledger });
}

const ledger: LanguageModelMiddleware = {
  async wrapGenerate({ doGenerate, model }) {
    const close = await open(model.modelId);
    try {
      const result = await doGenerate();
      await close(() => usageOf(result));
      return result;
    } catch (error) {
      await close(failed);
      throw error;
    }
  },

  async wrapStream({ doStream, model }) {
    const startedAt = performance.now();
    const close = await open(model.modelId);
    let finish: Used | undefined;
    let firstTokenMs: number | undefined;
    const watched = new TransformStream<StreamPart, StreamPart>({
      transform(part, controller) {
        if (part.type === 'text-delta') firstTokenMs ??= Math.round(performance.now() - startedAt);
        if (part.type === 'finish') finish = part;
        controller.enqueue(part);
      },
      flush: () => close(() => ({ ...(finish ? usageOf(finish) : failed()), firstTokenMs })),
      cancel: () => close(() => ({ ...failed(), firstTokenMs })),
    });
    try {
      const { stream, ...rest } = await doStream();
      return { ...rest, stream: stream.pipeThrough(watched) };
    } catch (error) {
      await close(failed);
      throw error;
    }
  },
};

/** Begins a row for a call of the current step. The returned function ends it, once. */
async function open(model: string): Promise<(end: () => CallEnd) => Promise<void>> {
  const { pool, config } = getCurrent()!;
  const { runId, stepId, execution, deploymentId, signal } = currentStep();
  const call = { jobPrefix: config.jobPrefix, runId, stepId, execution, model, simulated: isSimulated(deploymentId) };
  const id = await openModelCall(pool, call, signal);
  let closed = false;
  return async (end) => {
    if (closed) return;
    closed = true;
    // A row that stays open is a smaller harm than an answer, paid for, that is thrown away: while it
    // waited here for a database that is away, the lease could run out and abort the step.
    const written = (async () => closeModelCall(pool, id, end()))().catch(() => undefined);
    await Promise.race([written, delay(CLOSE_PATIENCE_MS, undefined, { ref: false })]);
  };
}

type Used = Pick<Generated, 'usage' | 'providerMetadata'>;

function usageOf({ usage, providerMetadata }: Used): CallEnd {
  const { costUsd } = providerMetadata?.['claude-code'] ?? {};
  return {
    outcome: 'completed',
    inputTokens: usage.inputTokens.total,
    cachedTokens: usage.inputTokens.cacheRead,
    outputTokens: usage.outputTokens.total,
    costUsd: typeof costUsd === 'number' ? costUsd : undefined,
  };
}

function failed(): CallEnd {
  return { outcome: 'failed' };
}
