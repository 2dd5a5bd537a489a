import { ConfigError, maskSecrets } from '../config/config.ts';
import { isTransient } from '../postgres/transient.ts';
import { UsageError } from './usage-error.ts';
import { Interrupted } from './shutdown.ts';

/** SQLSTATEs that say what is wrong with the connection string or its role. */
const REFUSED_BY_SERVER: Record<string, string> = {
  '28P01': 'The password in WORKFLOW_POSTGRES_URL is wrong.',
  '28000': 'The server does not let this user in: see its pg_hba.conf.',
  '3D000': 'The database does not exist: create it, or correct WORKFLOW_POSTGRES_URL.',
  '42501': 'The role of WORKFLOW_POSTGRES_URL lacks a privilege. See: npm run postgres-world:setup -- --check',
};

/** What the user reads: what failed and what to do; a stack only for what is our mistake. */
export function explain(error: unknown): string {
  if (error instanceof Interrupted) return '';
  if (error instanceof UsageError) return `${error.message}\n  See: npm run example:postgres-world -- --help`;
  // Its values are masked already, and its remedies show what a URL looks like.
  if (error instanceof ConfigError) return error.message;
  const { code = '', message, stack } = toError(error);
  if (code in REFUSED_BY_SERVER) return maskSecrets(`${message}\n  ${REFUSED_BY_SERVER[code]}`);
  if (isTransient(error)) {
    return maskSecrets(
      `Cannot reach PostgreSQL: ${message || code}\n  Check WORKFLOW_POSTGRES_URL, and that the server runs.`,
    );
  }
  return maskSecrets(stack ?? message);
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode;
  return error instanceof UsageError ? 2 : 1;
}

function toError(thrown: unknown): Error & { code?: string } {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
