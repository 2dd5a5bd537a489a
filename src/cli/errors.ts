import { ConfigError, maskSecrets } from '../config/config.ts';
import { explainConnection } from '../postgres/explain-connection.ts';
import { UsageError } from './usage-error.ts';
import { Interrupted } from './shutdown.ts';

/**
 * What the user reads: what failed and what to do; a stack only for what is our mistake.
 * @param variable the one that has the URL of the database
 */
export function explain(error: unknown, variable = 'WORKFLOW_POSTGRES_URL'): string {
  if (error instanceof Interrupted) return '';
  if (error instanceof UsageError) return `${error.message}\n  See: npm run example:postgres-world -- --help`;
  // Its values are masked already, and its remedies show what a URL looks like.
  if (error instanceof ConfigError) return error.message;
  const explained = explainConnection(error, variable);
  if (explained) return maskSecrets(explained);
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return maskSecrets(stack ?? message);
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode;
  return error instanceof UsageError ? 2 : 1;
}
