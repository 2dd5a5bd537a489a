import { generateText, Output, streamText, type LanguageModel } from 'ai';
import type { z } from 'zod';
import { currentStep } from '../runtime/scope.ts';
import { asStepError } from './errors.ts';

interface Question {
  model: LanguageModel;
  prompt: string;
}

/**
 * An answer in the shape of a zod schema, by the AI SDK's structured output.
 * @throws FatalError where trying again cannot help, else the error, for the step to be retried
 */
export async function answerObject<Schema extends z.ZodType>({
  schema,
  ...question
}: Question & { schema: Schema }): Promise<z.infer<Schema>> {
  try {
    const { output } = await generateText({ ...question, ...perAttempt(), output: Output.object({ schema }) });
    return output as z.infer<Schema>;
  } catch (error) {
    throw asStepError(error);
  }
}

/**
 * An answer as text.
 * @param onText called with each piece as it arrives
 */
export async function answerText({
  onText = () => {},
  ...question
}: Question & { onText?: (text: string) => void }): Promise<string> {
  try {
    let answer = '';
    let piece = '';
    const passOn = () => {
      answer += piece;
      if (piece) onText(piece);
    };
    const { stream } = streamText({ ...question, ...perAttempt(), onError: () => {} });
    for await (const part of stream) {
      // streamText does not reject: without this, the text of an error would pass for an answer.
      if (part.type === 'error') throw part.error;
      if (part.type === 'abort') throw new Error('The call was aborted.');
      if (part.type !== 'text-delta') continue;
      // One piece late: the last one before an error is the error's text, with whatever the API echoes in it.
      passOn();
      piece = part.text;
    }
    passOn();
    return answer;
  } catch (error) {
    throw asStepError(error);
  }
}

/** Retries belong to the step: the AI SDK's own would resume a session that was not kept, and mask the error. */
function perAttempt() {
  return { maxRetries: 0, abortSignal: currentStep().signal };
}
