import { parseArgs } from 'node:util';

const MODES = ['content', 'research', 'both', 'worker'] as const;
type Mode = (typeof MODES)[number];

export interface Command {
  mode: Mode;
  /** A file, or `-` for standard input; undefined: the sample text. */
  input: string | undefined;
  /** Undefined: the sample topic. */
  topic: string | undefined;
  json: boolean;
  verbose: boolean;
  help: boolean;
}

/** The call makes no sense; exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export const USAGE = `Usage: index.ts [MODE] [OPTIONS]

Modes
  content    analyze a text: sentiment, a durable wait, topics, a streamed report (default)
  research   three agents in parallel, then a synthesis
  both       the two of them at the same time
  worker     take work from the database until stopped

Options
  --input FILE   analyze this text instead of the sample; - reads standard input
  --topic TEXT   research this topic instead of the sample
  --json         one JSON document on stdout, everything else on stderr
  --verbose      say what the queue does
  --help         this text

Variables (also in .env; see .env.example)
  WORKFLOW_POSTGRES_URL                  your PostgreSQL; unset: an embedded one
  WORKFLOW_TARGET_WORLD                  the World that the Workflow tools load
  WORKFLOW_POSTGRES_JOB_PREFIX           workflow_   whose runs these are
  WORKFLOW_POSTGRES_WORKER_CONCURRENCY   10          steps at once per process
  WORKFLOW_POSTGRES_MAX_POOL_SIZE        10          database connections per process
  WORKFLOW_POSTGRES_QUEUE_SCHEMA         workflow_queue
  WORKFLOW_MODEL                         auto        or: claude, simulated

Examples
  npm run example:postgres-world
  npm run example:postgres-world -- --input article.txt
  npm run -s example:postgres-world:research -- --topic "Quantum Computing" --json
  npm run example:postgres-world:worker`;

/** @throws UsageError */
export function parseCommand(args: readonly string[]): Command {
  const { values, positionals } = parse(args);
  const [mode = 'content', ...rest] = positionals;
  if (!isMode(mode)) throw new UsageError(`There is no mode "${mode}": it is one of ${MODES.join(', ')}.`);
  if (rest.length > 0) throw new UsageError(`"${rest.join(' ')}" is one word too many after the mode ${mode}.`);
  if (values.input !== undefined && mode !== 'content' && mode !== 'both') {
    throw new UsageError(`--input is for the modes content and both, not for ${mode}.`);
  }
  if (values.topic !== undefined && mode !== 'research' && mode !== 'both') {
    throw new UsageError(`--topic is for the modes research and both, not for ${mode}.`);
  }
  if (values.topic?.trim() === '') throw new UsageError('--topic is empty: there is nothing to research.');
  return { mode, input: undefined, topic: undefined, json: false, verbose: false, help: false, ...values };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        input: { type: 'string' },
        topic: { type: 'string' },
        json: { type: 'boolean' },
        verbose: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

function isMode(word: string): word is Mode {
  return (MODES as readonly string[]).includes(word);
}
