import { FatalError, RetryableError } from '@workflow/errors';
import { APICallError } from 'ai';
import { isAuthenticationError } from 'ai-sdk-provider-claude-code';
import { getCurrent } from '../runtime/current-world.ts';
import type { StepScope } from '../runtime/scope.ts';
import type { Signs } from './observation.ts';
import { withoutKeys } from './secrets.ts';

/** What went wrong with a call, as the step is told. */
export interface Failure {
  what: string;
  /** What to do, where trying again cannot help. */
  remedy?: string;
  /** Whether the server says when to come again. */
  saysWhen?: boolean;
}

const LOGIN: Failure = {
  what: 'Claude refused the login',
  remedy: 'Run: npm run claude:login (or check ANTHROPIC_API_KEY)',
};
const NO_CLI: Failure = {
  what: 'The Claude Code CLI is missing',
  remedy: 'Run: npm ci (without --omit=optional)',
};
const NO_CREDIT: Failure = { what: 'The account cannot pay for it', remedy: 'See the billing page of the account.' };
const NO_MODEL: Failure = {
  what: 'The model is not there',
  remedy: 'Check its name, and that the account may use it.',
};
export const REFUSAL: Failure = {
  what: 'Claude declined to answer',
  remedy: 'Change the prompt, or ask another model.',
};
export const TOO_LONG: Failure = {
  what: 'The answer is longer than allowed',
  remedy: 'Ask for less, or raise CLAUDE_CODE_MAX_OUTPUT_TOKENS in the env of claudeCode().',
};
const BAD_REQUEST: Failure = { what: 'Claude refused the request', remedy: 'The same request fails again: change it.' };
const RATE_LIMIT: Failure = { what: 'Rate limited by Claude', saysWhen: true };
const OVERLOADED: Failure = { what: 'Claude is overloaded', saysWhen: true };
const TOO_MANY_TURNS: Failure = {
  what: 'The model calls tools that it does not have',
  remedy: 'See what the prompt, or the text in it, asks for.',
};
const SERVER: Failure = { what: 'Claude failed' };
export const ENDED_EARLY: Failure = { what: 'The answer ended early' };
const CONNECTION: Failure = { what: 'No answer from Claude' };
export const SHAPE: Failure = { what: 'No answer in the shape that was asked for' };
export const TIMEOUT: Failure = { what: 'The call took too long' };
export const NO_START: Failure = { what: 'The Claude Code CLI did not start' };

const BY_CATEGORY: Partial<Record<string, Failure>> = {
  authentication_failed: LOGIN,
  oauth_org_not_allowed: LOGIN,
  billing_error: NO_CREDIT,
  model_not_found: NO_MODEL,
  invalid_request: BAD_REQUEST,
  refusal: REFUSAL,
  max_output_tokens: TOO_LONG,
  rate_limit: RATE_LIMIT,
  overloaded: OVERLOADED,
  error_max_turns: TOO_MANY_TURNS,
  error_max_structured_output_retries: SHAPE,
};

const BY_STATUS: Partial<Record<number, Failure>> = {
  401: LOGIN,
  402: NO_CREDIT,
  403: LOGIN,
  404: NO_MODEL,
  408: TIMEOUT,
  409: SERVER,
  425: SERVER,
  429: RATE_LIMIT,
  529: OVERLOADED,
};

/** What a CLI, or a provider, said that gave neither a status nor a word for it. */
const BY_MESSAGE: readonly [RegExp, Failure][] = [
  [/Overloaded/i, OVERLOADED],
  [/output token maximum/, TOO_LONG],
  [/can't help with this/, REFUSAL],
  [/timed out/i, TIMEOUT],
  [/structured.output/i, SHAPE],
];

/** What the error of a provider says itself; that of Claude Code has no status. */
export function signsOf(error: unknown): Signs {
  if (!APICallError.isInstance(error)) return {};
  const { 'retry-after': retryAfter = '' } = error.responseHeaders ?? {};
  const ms = /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1_000 : Date.parse(retryAfter) - Date.now();
  return { status: error.statusCode, retryAfterMs: Number.isNaN(ms) ? undefined : ms };
}

/** By HTTP status and cause. Not by `isRetryable`, which the provider sets for a missing binary and not for a lost connection. */
export function classify(error: unknown, { status, category = '', detail = '' }: Signs = {}): Failure {
  if ((error as { data?: { code?: string } } | undefined)?.data?.code === 'ENOENT') return NO_CLI;
  const known = BY_STATUS[status ?? 0] ?? BY_CATEGORY[category];
  if (known) return known;
  if (status !== undefined) return status >= 500 ? SERVER : BAD_REQUEST;
  // Only now: the provider calls everything so whose text has a word like "unauthorized", be it of a 503.
  if (isAuthenticationError(error)) return LOGIN;
  const text = `${detail} ${messageOf(error)}`;
  return BY_MESSAGE.find(([pattern]) => pattern.test(text))?.[1] ?? CONNECTION;
}

/** Doubles with each attempt, up to a minute. */
const FIRST_DELAY_MS = 2_000;
const LAST_DELAY_MS = 60_000;

/**
 * The error that the step throws. It names the status, the attempt, and how long the step has tried.
 * FatalError: trying again cannot help. RetryableError: when to try again.
 */
export function toStepError(
  failure: Failure,
  step: StepScope,
  error: unknown,
  signs: Signs = {},
  who = 'Claude',
): Error {
  const { status, detail = messageOf(error) } = signs;
  const seconds = ((getCurrent()!.now() - step.beganAt) / 1_000).toFixed(1);
  const facts = [status && `HTTP ${status}`, `attempt ${step.attempt}, ${seconds} s after the first began`];
  const summary = withoutKeys(
    [`${failure.what.replace('Claude', who)} (${facts.filter(Boolean).join('; ')})`, detail].filter(Boolean).join(': '),
  );
  if (failure === LOGIN && who !== 'Claude') return new FatalError(`${summary}\n  Check its key.`);
  if (failure.remedy) return new FatalError(`${summary}\n  ${failure.remedy}`);
  return new RetryableError(summary, { retryAfter: retryAfterMs(failure, step.attempt, signs) });
}

/**
 * Never before the server wants it; and spread, so that those who failed together do not come back together
 * ("full jitter" of the AWS Architecture Blog, with a lower half).
 */
export function retryAfterMs(failure: Failure, attempt: number, { retryAfterMs: asked = 0 }: Signs = {}): number {
  const backoff = Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), LAST_DELAY_MS);
  const spread = backoff * (0.5 + Math.random() / 2);
  if (!failure.saysWhen || asked < spread) return spread;
  return asked * (1 + Math.random() / 10);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
