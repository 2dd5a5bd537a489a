import { generateText, NoObjectGeneratedError, Output, streamText, type LanguageModel } from 'ai';
import type { z } from 'zod';
import { currentStep } from '../runtime/scope.ts';
import type { RunStream } from '../streams/run-stream.ts';
import { CALL_OPTIONS, type CallOptions } from './call.ts';
import { SHAPE, toStepError } from './failure.ts';

interface Question {
  model: LanguageModel;
  prompt: string;
  /** After so long the model is killed, and the step tried again. Default: no limit but that of the API, 10 minutes to a request. */
  timeoutMs?: number;
}

/**
 * An answer in the shape of a zod schema, by the AI SDK's structured output.
 * @throws FatalError where trying again cannot help, with the remedy
 * @throws RetryableError for the step to be retried, with the delay
 */
export async function answerObject<Schema extends z.ZodType>({
  schema,
  model,
  prompt,
  timeoutMs,
}: Question & { schema: Schema }): Promise<z.infer<Schema>> {
  const output = Output.object({ schema });
  try {
    const answer = await generateText({ model, prompt, ...asCall({ timeoutMs }), output });
    return answer.output as z.infer<Schema>;
  } catch (error) {
    throw NoObjectGeneratedError.isInstance(error) ? toStepError(SHAPE, currentStep(), error) : error;
  }
}

/**
 * An answer as text.
 * @param stream gets each piece as it arrives, and its end; what a failed attempt wrote there is marked as superseded
 * @throws as {@link answerObject}
 */
export async function answerText({
  model,
  prompt,
  timeoutMs,
  stream: written,
}: Question & { stream?: RunStream }): Promise<string> {
  let answer = '';
  let finished = false;
  try {
    const { stream } = streamText({ model, prompt, ...asCall({ timeoutMs }), onError: () => {} });
    for await (const part of stream) {
      // streamText does not reject: without this, the text of an error would pass for an answer.
      if (part.type === 'error') throw part.error;
      if (part.type === 'finish') finished = part.finishReason !== 'error';
      if (part.type !== 'text-delta') continue;
      answer += part.text;
      written?.write(part.text);
    }
    if (!finished) throw new Error('The answer has no end.');
  } catch (error) {
    // Of an execution that was cut off, the next one's text says so; or there is none, and this is how far it came.
    if (!currentStep().signal.aborted) await written?.supersede();
    throw error;
  }
  await written?.end();
  return answer;
}

function asCall(options: CallOptions) {
  // Retries belong to the step: the AI SDK's own are not durable, and do not know what Claude Code means.
  return { maxRetries: 0, providerOptions: { [CALL_OPTIONS]: { ...options } } };
}
