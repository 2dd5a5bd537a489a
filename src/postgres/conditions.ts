import { isUnreachable } from './transient.ts';

/** What is wrong with a database, for a process that waits until somebody has put it right. */
export interface Condition {
  /** Two with the same key are one. */
  key: string;
  says: string;
  well: string;
}

interface Kind {
  states: RegExp;
  what: string;
  remedy: string;
  well: string;
}

/** SQLSTATEs by which a server says what is to be done about it. */
const KINDS: readonly Kind[] = [
  {
    states: /^53100$/,
    what: 'The disk of the PostgreSQL server is full',
    remedy: 'Make room on it',
    well: 'PostgreSQL has room again',
  },
  {
    states: /^53200$/,
    what: 'The PostgreSQL server is out of memory',
    remedy: 'Give it more, or fewer connections',
    well: 'PostgreSQL has memory again',
  },
  {
    states: /^53300$/,
    what: 'The PostgreSQL server has no connection left',
    remedy:
      'Raise its max_connections, or start fewer processes: each takes up to WORKFLOW_POSTGRES_MAX_POOL_SIZE, and one more',
    well: 'PostgreSQL has connections again',
  },
  {
    states: /^57014$/,
    what: 'The PostgreSQL server has cancelled a statement',
    remedy: 'Raise the statement_timeout of the role',
    well: 'PostgreSQL lets the statements end again',
  },
  {
    states: /^25006$/,
    what: 'The PostgreSQL server is read-only, as a standby is',
    remedy: 'Promote it, or let WORKFLOW_POSTGRES_URL name the primary',
    well: 'PostgreSQL can be written to again',
  },
];

/** undefined_table, invalid_schema_name, undefined_function; pg-boss has words of its own. */
const GONE_STATES = /^(42P01|3F000|42883)$/;
const GONE_MESSAGE = /^Queue \S+ does not exist$/;

/** What a database says that has no room, no connection, no time or no right to write; and what to do. */
export function explainState(error: unknown): { what: string; remedy: string } | undefined {
  const { code } = rootOf(error);
  return KINDS.find(({ states }) => states.test(code));
}

/** @returns undefined for an error that says nothing about the database as a whole */
export function conditionOf(error: unknown): Condition | undefined {
  const { code, message } = rootOf(error);
  const reason = message || code;
  const kind = KINDS.find(({ states }) => states.test(code));
  const condition = (key: string, what: string, remedy: string, well: string) => ({
    key,
    says: `${what}: ${reason}. ${remedy}; this process waits, and goes on by itself.`,
    well,
  });
  if (kind) return condition(kind.what, kind.what, kind.remedy, kind.well);
  if (isGone(error)) {
    const remedy = 'Run: npm run postgres-world:setup';
    return condition(
      'gone',
      'The queue is gone, or another table of ours',
      remedy,
      'The queue is back: its runs go on',
    );
  }
  if (code === '42501') {
    const remedy = 'See: npm run postgres-world:setup -- --check';
    const what = 'The role of WORKFLOW_POSTGRES_URL lacks a privilege';
    return condition(reason, what, remedy, 'The role has the privilege again');
  }
  if (!isUnreachable(error)) return undefined;
  return {
    key: 'away',
    says: `PostgreSQL does not answer: ${reason}. It is waited for.`,
    well: 'PostgreSQL answers again',
  };
}

/** Whether a table, a function or a queue of ours is not there. */
export function isGone(error: unknown): boolean {
  const { code, message } = rootOf(error);
  return GONE_STATES.test(code) || GONE_MESSAGE.test(message);
}

/** The innermost cause: drizzle and the runtime put theirs around it. */
export function rootOf(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  if (error.cause instanceof Error) return rootOf(error.cause);
  const { code } = error as Error & { code?: unknown };
  return { code: typeof code === 'string' ? code : '', message: error.message };
}
