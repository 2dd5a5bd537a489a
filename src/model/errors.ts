import { isAuthenticationError } from 'ai-sdk-provider-claude-code';
import { FatalError } from '@workflow/errors';
import { removeKeys } from './secrets.ts';

/** What repeating the same request cannot change, by what the CLI writes about it. */
const PERMANENT = /API Error: 4(?!08|09|25|29)\d\d|issue with the selected model|can't help with this/;

/**
 * The error as the step should throw it: FatalError where trying again cannot help.
 * Not by `isRetryable`, which the provider sets for a missing binary and not for a lost connection.
 */
export function asStepError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  removeKeys(error);
  if (isAuthenticationError(error)) {
    return new FatalError(`Claude refused the login: ${error.message}\n  Run: npm run claude:login`);
  }
  const { code } = ((error as { data?: unknown }).data ?? {}) as { code?: string };
  if (code === 'ENOENT') {
    return new FatalError(`${error.message}\n  Run: npm ci (without --omit=optional)`);
  }
  return PERMANENT.test(error.message) ? new FatalError(error.message) : error;
}
