import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { streamMessage } from './message-stream.ts';
import { simulateObject, simulateText } from './simulated-answers.ts';

/** Ends the deployment id of runs that were begun without a login. */
const SIMULATED = '-simulated';

const WORD_INTERVAL_MS = 12;

const contentBlocks = z.union([z.string(), z.array(z.looseObject({ text: z.string().optional() }))]);
const request = z.looseObject({
  model: z.string(),
  stream: z.boolean().optional(),
  messages: z.array(z.looseObject({ role: z.string(), content: contentBlocks })),
  tools: z.array(z.looseObject({ name: z.string(), input_schema: z.unknown() })).optional(),
});

let runningAt: string | undefined;

/** A question as the API got it: a witness that does not depend on who asks, or on the ledger. */
export interface SimulatedCall {
  prompt: string;
  /** How many words were sent back so far. */
  words: number;
  /** Cut off: whoever asked hung up, or died. */
  state: 'being answered' | 'answered' | 'cut off';
}

export interface SimulatedApi extends AsyncDisposable {
  url: string;
}

export interface SimulatedApiOptions {
  /** Called with each question as it comes; the call that it gets is kept up to date. */
  onCall?(call: SimulatedCall): void;
  /** Resolves when the next word of an answer may be sent. */
  pace?(call: SimulatedCall): Promise<unknown>;
}

/** A pace at which a person can follow. */
export function atWalkingPace(): Promise<void> {
  return delay(WORD_INTERVAL_MS);
}

export function simulatedDeployment(deploymentId: string): string {
  return deploymentId + SIMULATED;
}

export function isSimulated(deploymentId: string): boolean {
  return deploymentId.endsWith(SIMULATED);
}

/** @throws Error where {@link startSimulatedApi} was not called: a programming error */
export function simulatedApiUrl(): string {
  if (!runningAt) throw new Error('The simulated Messages API is not running in this process.');
  return runningAt;
}

/**
 * Stands in for the Messages API on loopback, for people without a login: the provider and the CLI
 * above it are the real ones. Deterministic answers, streamed word by word.
 */
export async function startSimulatedApi(options: SimulatedApiOptions = {}): Promise<SimulatedApi> {
  const server = createServer((incoming, response) => {
    handle(incoming, response, options).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  runningAt = url;
  return {
    url,
    async [Symbol.asyncDispose]() {
      if (runningAt === url) runningAt = undefined;
      server.closeAllConnections();
      server.close();
    },
  };
}

async function handle(
  incoming: IncomingMessage,
  response: ServerResponse,
  options: SimulatedApiOptions,
): Promise<void> {
  if (incoming.method !== 'POST' || !incoming.url?.startsWith('/v1/messages')) {
    response.writeHead(incoming.method === 'HEAD' ? 200 : 404).end();
    return;
  }
  const parsed = request.safeParse(await json(incoming));
  if (!parsed.success) {
    const error = { type: 'invalid_request_error', message: z.prettifyError(parsed.error) };
    response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ type: 'error', error }));
    return;
  }
  await stream(response, parsed.data, options);
}

async function stream(
  response: ServerResponse,
  { model, messages, tools = [] }: z.infer<typeof request>,
  { onCall, pace = atWalkingPace }: SimulatedApiOptions,
) {
  const prompt = lastUserText(messages);
  const call: SimulatedCall = { prompt, words: 0, state: 'being answered' };
  response.once('close', () => (call.state = response.writableFinished ? 'answered' : 'cut off'));
  onCall?.(call);
  const tool = tools.find(({ name }) => name === 'StructuredOutput');
  const words = tool
    ? [JSON.stringify(simulateObject(tool.input_schema, prompt))]
    : (simulateText(prompt).match(/\S+\s*/g) ?? []);
  const message = streamMessage(response, {
    model,
    block: tool ? { type: 'tool_use', name: tool.name } : { type: 'text' },
    inputTokens: Math.ceil(prompt.length / 4),
  });
  for (const word of words) {
    if (!tool) await pace(call);
    if (response.destroyed) return;
    call.words += 1;
    message.write(word);
  }
  message.end(tool ? 'tool_use' : 'end_turn', Math.ceil(words.join('').length / 4));
}

function lastUserText(messages: z.infer<typeof request>['messages']): string {
  const content = messages.findLast(({ role }) => role === 'user')?.content ?? '';
  if (typeof content === 'string') return content;
  return content.map(({ text = '' }) => text).join('\n');
}
