import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { sendEvent, streamMessage } from '../../src/model/message-stream.ts';
import { onEnd } from './on-end.ts';
import { PROJECT } from './program.ts';

/** One POST /v1/messages, as it came. */
export interface ApiRequest {
  body: RequestBody;
  headers: IncomingHttpHeaders;
  /** The texts of the last message of the user; results of tools are in `toolResults`. */
  prompt: string;
  /** What the last message of the user says about the tools that were called. */
  toolResults: ToolResult[];
  /** Milliseconds since 1970. */
  arrivedAt: number;
  /** Whether whoever asked was gone before the reply was complete. Kept up to date. */
  hungUp: boolean;
}

interface RequestBody {
  model: string;
  stream?: boolean;
  system?: unknown;
  messages: { role: string; content: string | ContentBlock[] }[];
  tools?: { name: string; input_schema?: unknown }[];
}

interface ToolResult {
  type: 'tool_result';
  tool_use_id: string;
  content?: unknown;
  is_error?: boolean;
}

type ContentBlock = { type: 'text'; text: string } | ToolResult;

interface ApiError {
  /** `overloaded_error`, `rate_limit_error`, … */
  type: string;
  message: string;
}

/** What the API does with a request. */
export type Reply =
  /** A text, word by word; what comes `after` so many words is its end, or its `ending`. */
  | {
      text: string;
      /** Before each word. */
      paceMs?: number;
      stopReason?: 'end_turn' | 'refusal' | 'max_tokens' | 'pause_turn';
      /** Why it refuses: for some, the CLI would ask another model. */
      refusalCategory?: string;
      after?: number;
      /** The socket is cut, nothing comes any more, or an event `error` in the stream. */
      ending?: 'cut' | 'hang' | ApiError;
    }
  /** A tool of any name is called, `StructuredOutput` among them. */
  | { tool: string; input: unknown }
  /** An HTTP status with the body of an error. */
  | { status: number; error: ApiError; headers?: Record<string, string> }
  /** Before anything is answered. */
  | 'hang'
  | 'cut';

export interface MessagesApi {
  url: string;
  requests: ApiRequest[];
}

/**
 * A Messages API on loopback that a test decides about, for the real CLI.
 * @param answer is given each request, and its number from 1
 */
export async function startMessagesApi(
  answer: (request: ApiRequest, n: number) => Reply | Promise<Reply>,
): Promise<MessagesApi> {
  const requests: ApiRequest[] = [];
  const server = createServer((incoming, response) => {
    void handle(incoming, response).catch((error: unknown) => {
      const wrong = { type: 'invalid_request_error', message: `The test's own answer: ${String(error)}` };
      if (!response.headersSent) sendJson(response, 400, { type: 'error', error: wrong });
    });
  });

  async function handle(incoming: IncomingMessage, response: ServerResponse) {
    const { pathname } = new URL(incoming.url ?? '/', 'http://127.0.0.1');
    if (incoming.method !== 'POST' || pathname !== '/v1/messages') {
      response.writeHead(incoming.method === 'HEAD' ? 200 : 404).end();
      return;
    }
    const arrivedAt = Date.now();
    const request = asRequest((await json(incoming)) as RequestBody, incoming.headers, arrivedAt);
    requests.push(request);
    let cut = false;
    response.once('close', () => (request.hungUp = !cut && !response.writableFinished));
    await send(response, request.body, await answer(request, requests.length), () => {
      cut = true;
      // No reset where something was sent: the client would throw away the words that it has not read yet.
      if (response.headersSent) incoming.socket.destroySoon();
      else incoming.socket.resetAndDestroy();
    });
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

/** What a user with an API key has in the environment, with the API on loopback. */
export function loggedInTo({ url }: { url: string }, key = 'a-key-of-the-user'): Record<string, string> {
  return {
    WORKFLOW_MODEL: '',
    TEST_MODEL: 'claude',
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_API_KEY: key,
    CLAUDE_CONFIG_DIR: join(PROJECT, '.test/claude-config'),
  };
}

function asRequest(body: RequestBody, headers: IncomingHttpHeaders, arrivedAt: number): ApiRequest {
  const content = body.messages.findLast(({ role }) => role === 'user')?.content ?? [];
  const blocks = typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content;
  const prompt = blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('\n');
  const toolResults = blocks.filter((block) => block.type === 'tool_result');
  return { body, headers, prompt, toolResults, arrivedAt, hungUp: false };
}

async function send(response: ServerResponse, { model, stream }: RequestBody, reply: Reply, cut: () => void) {
  if (reply === 'hang') return;
  if (reply === 'cut') return cut();
  if ('status' in reply) {
    return sendJson(response, reply.status, { type: 'error', error: reply.error }, reply.headers);
  }
  if (!stream) return sendWhole(response, model, reply, cut);

  if ('tool' in reply) {
    const block = { type: 'tool_use', name: reply.tool } as const;
    const message = streamMessage(response, { model, block, inputTokens: 10 });
    message.write(JSON.stringify(reply.input));
    return message.end('tool_use', 10);
  }
  const {
    paceMs = 0,
    stopReason = 'end_turn',
    refusalCategory: category,
    ending,
    after = ending ? 0 : Infinity,
  } = reply;
  const words = reply.text.match(/\S+\s*/g) ?? [];
  const message = streamMessage(response, { model, block: { type: 'text' }, inputTokens: 10 });
  for (const word of words.slice(0, after)) {
    if (paceMs > 0) await delay(paceMs);
    if (response.destroyed) return;
    message.write(word);
  }
  if (ending === 'hang') return;
  if (ending === 'cut') return cut();
  if (ending) {
    sendEvent(response, 'error', { error: ending });
    response.end();
    return;
  }
  message.end(stopReason, words.length, category ? { type: 'refusal', category, explanation: null } : undefined);
}

/** To those who do not ask for a stream. */
function sendWhole(
  response: ServerResponse,
  model: string,
  reply: Exclude<Reply, string | { status: number }>,
  cut: () => void,
) {
  if ('ending' in reply && reply.ending) {
    if (reply.ending === 'hang') return;
    return reply.ending === 'cut' ? cut() : sendJson(response, 529, { type: 'error', error: reply.ending });
  }
  const [block, stopReason] =
    'tool' in reply
      ? [{ type: 'tool_use', id: `toolu_${randomUUID()}`, name: reply.tool, input: reply.input }, 'tool_use']
      : [{ type: 'text', text: reply.text }, reply.stopReason ?? 'end_turn'];
  const usage = { input_tokens: 10, output_tokens: 10 };
  const message = { id: `msg_${randomUUID()}`, type: 'message', role: 'assistant', model, stop_sequence: null, usage };
  sendJson(response, 200, { ...message, content: [block], stop_reason: stopReason });
}

function sendJson(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}
