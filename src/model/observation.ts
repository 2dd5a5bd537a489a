import type { ClaudeCodeSettings } from 'ai-sdk-provider-claude-code';
import type { TokenUsage } from '../postgres/model-calls.ts';

export type CliMessage = Parameters<NonNullable<ClaudeCodeSettings['onSdkMessage']>>[0];

/** What the CLI says of a call that fails. The provider's errors have less: no status, no `retry-after`. */
export interface Signs {
  /** Of the API's answer; undefined where none came. */
  status?: number | undefined;
  /** The CLI's word for it: `overloaded`, `rate_limit`, `authentication_failed`, … */
  category?: string | undefined;
  /** When the server wants to be asked again, if it said so. */
  retryAfterMs?: number | undefined;
  /** What the API, or the CLI, wrote. */
  detail?: string | undefined;
}

/** Characters to a token, where nobody counted the tokens: Anthropic's own rule of thumb for English. */
const CHARACTERS_PER_TOKEN = 4;

/** What the messages of the CLI tell about one call, beside its answer. */
export class Observation {
  /** Undefined as long as nothing speaks against an answer. */
  signs: Signs | undefined;
  /** When the first piece of the answer came, by `performance.now()`. */
  firstTokenAt: number | undefined;
  /** The CLI's own account, of all requests of the call. */
  #billed: TokenUsage | undefined;
  #input = 0;
  #cached = 0;
  #characters = 0;

  /** @returns whether the CLI is about to try again by itself, which it must not */
  observe(message: CliMessage): boolean {
    switch (message.type) {
      case 'system':
        if (message.subtype === 'model_refusal_no_fallback') this.#note({ category: 'refusal' });
        if (message.subtype === 'model_refusal_fallback') {
          // Should the variable that forbids it be gone one day.
          this.#note({ category: 'refusal' });
          return true;
        }
        if (message.subtype !== 'api_retry') return false;
        this.#note({
          status: message.error_status ?? undefined,
          category: message.error,
          retryAfterMs: message.retry_delay_ms,
        });
        return true;
      case 'assistant':
        if (message.error) this.#note({ category: message.error, detail: textOf(message.message.content) });
        return false;
      case 'stream_event':
        this.#count(message.event);
        return false;
      case 'result':
        this.#settle(message);
        return false;
      default:
        return false;
    }
  }

  /** What the call used; for one that was cut off, what is known of it. */
  get usage(): TokenUsage {
    if (this.#billed) return this.#billed;
    if (this.#input === 0) return {};
    const outputTokens = Math.ceil(this.#characters / CHARACTERS_PER_TOKEN);
    return { inputTokens: this.#input, cachedTokens: this.#cached, outputTokens, estimated: true };
  }

  #note(signs: Signs): void {
    const given = Object.entries(signs).filter(([, value]) => value !== undefined);
    this.signs = { ...this.signs, ...Object.fromEntries(given) };
  }

  #count(event: Extract<CliMessage, { type: 'stream_event' }>['event']): void {
    if (event.type === 'message_start') {
      const {
        input_tokens: fresh,
        cache_read_input_tokens: read,
        cache_creation_input_tokens: written,
      } = event.message.usage;
      this.#input += fresh + (read ?? 0) + (written ?? 0);
      this.#cached += read ?? 0;
    }
    if (event.type !== 'content_block_delta') return;
    this.firstTokenAt ??= performance.now();
    if (event.delta.type === 'text_delta') this.#characters += event.delta.text.length;
    if (event.delta.type === 'input_json_delta') this.#characters += event.delta.partial_json.length;
  }

  #settle(result: Extract<CliMessage, { type: 'result' }>): void {
    const models = Object.values(result.modelUsage);
    const sum = (of: (model: (typeof models)[number]) => number) => models.reduce((total, it) => total + of(it), 0);
    this.#billed = {
      inputTokens: sum((it) => it.inputTokens + it.cacheReadInputTokens + it.cacheCreationInputTokens),
      cachedTokens: sum((it) => it.cacheReadInputTokens),
      outputTokens: sum((it) => it.outputTokens),
      costUsd: result.total_cost_usd,
    };
    if (!result.is_error) return;
    const isRefusal = result.stop_reason === 'refusal';
    const category = isRefusal ? 'refusal' : result.subtype === 'success' ? undefined : result.subtype;
    const detail = result.subtype === 'success' ? result.result : result.errors.join('; ');
    const status = result.subtype === 'success' ? (result.api_error_status ?? undefined) : undefined;
    this.#note({ status, category, detail });
  }
}

function textOf(content: readonly { type: string }[]): string {
  return content.map((block) => ('text' in block ? String(block.text) : '')).join(' ');
}
