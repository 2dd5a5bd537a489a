import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';

/** What a message consists of here: one text, or one call of a tool, whose input comes as pieces of JSON. */
export type MessageBlock = { type: 'text' } | { type: 'tool_use'; name: string };

export interface MessageStream {
  /** The next piece of the text, or of the JSON. */
  write(piece: string): void;
  /** @param details of the reason, in the words of the API */
  end(stopReason: string, outputTokens: number, details?: object): void;
}

/** Begins to stream a message by server-sent events, as the Messages API documents them. */
export function streamMessage(
  response: ServerResponse,
  { model, block, inputTokens }: { model: string; block: MessageBlock; inputTokens: number },
): MessageStream {
  const usage = { input_tokens: inputTokens, output_tokens: 1 };
  // The CLI takes messages with the same id for one.
  const id = randomUUID();
  const message = { id: `msg_${id}`, type: 'message', role: 'assistant', model, content: [], stop_reason: null };
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  sendEvent(response, 'message_start', { message: { ...message, usage } });
  sendEvent(response, 'content_block_start', {
    index: 0,
    content_block: block.type === 'text' ? { ...block, text: '' } : { ...block, id: `toolu_${id}`, input: {} },
  });
  return {
    write(piece) {
      const delta =
        block.type === 'text' ? { type: 'text_delta', text: piece } : { type: 'input_json_delta', partial_json: piece };
      sendEvent(response, 'content_block_delta', { index: 0, delta });
    },
    end(stopReason, outputTokens, details) {
      sendEvent(response, 'content_block_stop', { index: 0 });
      sendEvent(response, 'message_delta', {
        delta: { stop_reason: stopReason, stop_sequence: null, ...(details && { stop_details: details }) },
        usage: { output_tokens: outputTokens },
      });
      sendEvent(response, 'message_stop', {});
      response.end();
    },
  };
}

export function sendEvent(response: ServerResponse, type: string, data: object): void {
  response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
}
