import { problemOfStartKey } from '../postgres/start-keys.ts';
import { parseDuration } from './duration.ts';
import { parseOptions } from './parse-options.ts';
import { UsageError } from './usage-error.ts';

interface ModeDescription {
  does: string;
  /** How the mode is shown, if it takes the id of a run. */
  run?: 'RUN_ID' | '[RUN_ID]';
  /** Options, beside those that all modes take. */
  takes: readonly (keyof typeof OPTIONS)[];
}

const MODES = {
  content: {
    does: 'sentiment, a durable wait, topics, a report (default)',
    takes: ['input', 'approve', 'key', 'json'],
  },
  research: { does: 'three agents in parallel, then a synthesis', takes: ['topic', 'key', 'json'] },
  both: { does: 'the two of them at the same time', takes: ['input', 'topic', 'key', 'json'] },
  worker: { does: 'take work from the database until stopped', takes: [] },
  status: { does: 'the workers and the runs; with RUN_ID, all of one run', run: '[RUN_ID]', takes: ['limit', 'json'] },
  attach: { does: "follow a run's text, live, from any index", run: 'RUN_ID', takes: ['from', 'json'] },
  approve: { does: 'answer a run that waits for approval: yes', run: 'RUN_ID', takes: ['json'] },
  reject: { does: 'answer it: no', run: 'RUN_ID', takes: ['reason', 'json'] },
  cancel: { does: 'end a run, and kill its model calls', run: 'RUN_ID', takes: ['json'] },
  redrive: { does: 'start a failed or cancelled run anew from its input', run: 'RUN_ID', takes: ['json'] },
  prune: { does: 'remove what is left of runs that ended long ago', takes: ['older-than', 'dry-run', 'json'] },
} as const satisfies Record<string, ModeDescription>;

const OPTIONS = {
  input: { type: 'string', value: 'FILE', does: 'analyze this text instead of the sample; - is stdin' },
  topic: { type: 'string', value: 'TEXT', does: 'research this topic instead of the sample' },
  approve: { type: 'boolean', value: '', does: 'let the run wait until somebody approves its report' },
  key: { type: 'string', value: 'KEY', does: 'start one run under this key; again: show that run' },
  limit: { type: 'string', value: 'N', does: 'show N runs instead of 20' },
  from: { type: 'string', value: 'N', does: 'begin with the chunk N instead of 0' },
  reason: { type: 'string', value: 'TEXT', does: 'why the report is rejected' },
  'older-than': { type: 'string', value: 'AGE', does: 'runs that ended longer ago than this: 30d, 12h, 2w' },
  'dry-run': { type: 'boolean', value: '', does: 'say what would be removed, and remove nothing' },
  json: { type: 'boolean', value: '', does: 'JSON on stdout (attach: one per line), the rest on stderr' },
  verbose: { type: 'boolean', value: '', does: 'say what the queue and the provider do' },
  help: { type: 'boolean', value: '', short: 'h', does: 'this text' },
} as const;

export const OPTION_NAMES = Object.keys(OPTIONS);

const FOR_ALL: readonly string[] = ['verbose', 'help'];

export type Mode = keyof typeof MODES;

export interface Command {
  mode: Mode;
  /** Of the modes that take one. */
  runId: string | undefined;
  /** A file, or `-` for standard input; undefined: the sample text. */
  input: string | undefined;
  /** Undefined: the sample topic. */
  topic: string | undefined;
  /** What the run is started under, at most once; undefined: a new run. */
  key: string | undefined;
  /** Whether the run waits for approval of its report. */
  approve: boolean;
  /** How many runs are shown. */
  limit: number;
  /** The first chunk of a stream to show. */
  from: number;
  /** Why a report is rejected. */
  reason: string | undefined;
  /** How long ago the runs have ended that are removed. */
  olderThanSeconds: number;
  dryRun: boolean;
  json: boolean;
  verbose: boolean;
  help: boolean;
}

export const USAGE = `Usage: index.ts [MODE] [OPTIONS]

Modes
${columns(Object.entries<ModeDescription>(MODES).map(([mode, { does, run = '' }]) => [`${mode} ${run}`, does]))}

Options
${columns(Object.entries(OPTIONS).map(([name, { value, does }]) => [`--${name} ${value}`, does]))}

Variables (also in .env; see .env.example)
  WORKFLOW_POSTGRES_URL                  your PostgreSQL; unset: an embedded one
  WORKFLOW_POSTGRES_DIRECT_URL           the same, past a pooler
  WORKFLOW_TARGET_WORLD                  the World that the Workflow tools load
  WORKFLOW_POSTGRES_JOB_PREFIX           workflow_   whose runs these are
  WORKFLOW_POSTGRES_WORKER_CONCURRENCY   10          steps at once per process
  WORKFLOW_POSTGRES_MAX_POOL_SIZE        10          connections per process
  WORKFLOW_POSTGRES_QUEUE_SCHEMA         workflow_queue
  WORKFLOW_POSTGRES_MAX_VALUE_MB         32          largest value, stored
  WORKFLOW_MODEL                         auto        or: claude, simulated
  WORKFLOW_MODEL_SPAWNS                  (CPUs)      processes started at once
  WORKFLOW_MODEL_SPARES                  2           processes kept ready
  ANTHROPIC_API_KEY                      an API key, instead of a login

Examples
  npm run example:postgres-world
  npm run example:postgres-world -- --input article.txt
  npm run -s example:postgres-world:research -- --topic "Tea" --json
  npm run example:postgres-world:worker
  npm run postgres-world:status

Exit codes
  0 all went well; 1 a run failed, or the environment or the input is not
  usable; 2 wrong usage; 130 Ctrl+C`;

const DEFAULT_LIMIT = 20;

/** @throws UsageError */
export function parseCommand(args: readonly string[]): Command {
  const { values, positionals } = parse(args);
  const [mode = 'content', ...rest] = positionals;
  if (!isMode(mode)) throw new UsageError(`There is no mode "${mode}": it is one of ${Object.keys(MODES).join(', ')}.`);
  const { run }: ModeDescription = MODES[mode];
  const runId = run ? rest.shift() : undefined;
  if (rest.length > 0) throw new UsageError(`"${rest.join(' ')}" is one word too many after the mode ${mode}.`);
  const takes = new Set<string>([...MODES[mode].takes, ...FOR_ALL]);
  for (const option of Object.keys(values)) {
    if (!takes.has(option)) throw new UsageError(`--${option} is for ${modesWith(option)}, not for ${mode}.`);
  }
  if (run === 'RUN_ID' && runId === undefined && !values.help) {
    const reason = mode === 'reject' ? ' --reason TEXT' : '';
    throw new UsageError(
      `Which run? Write: npm run postgres-world:${mode} -- RUN_ID${reason}. The mode status lists the runs.`,
    );
  }
  if (mode === 'reject' && !values.reason?.trim() && !values.help) {
    throw new UsageError(`Why? Write: npm run postgres-world:reject -- ${runId} --reason TEXT`);
  }
  if (mode === 'prune' && values['older-than'] === undefined && !values.help) {
    throw new UsageError('How old? Write, for example: npm run postgres-world:prune -- --older-than 30d');
  }
  if (values.topic?.trim() === '') throw new UsageError('--topic is empty: there is nothing to research.');
  const problem = values.key !== undefined && problemOfStartKey(startKeyOf({ mode, key: values.key }, 'research'));
  if (problem) throw new UsageError(`--key ${problem}.`);
  const { input, topic, key, reason, approve = false, json = false, verbose = false, help = false } = values;
  return {
    mode,
    runId,
    input,
    topic,
    key,
    approve,
    limit: values.limit === undefined ? DEFAULT_LIMIT : parseLimit(values.limit),
    from: parseIndex(values.from ?? '0'),
    reason,
    olderThanSeconds: parseDuration(values['older-than'] ?? '0s', '--older-than'),
    dryRun: values['dry-run'] ?? false,
    json,
    verbose,
    help,
  };
}

/** A key starts one run, and the mode `both` has two. */
export function startKeyOf({ mode, key }: Pick<Command, 'mode' | 'key'>, example: 'content' | 'research') {
  return mode === 'both' && key !== undefined ? `${key}:${example}` : key;
}

function parse(args: readonly string[]) {
  return parseOptions({ args: [...args], allowPositionals: true, options: OPTIONS });
}

function parseLimit(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new UsageError(`--limit ${text} is not a number from 1 to 999999.`);
  return Number(text);
}

function parseIndex(text: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw new UsageError(`--from ${text} is not the index of a chunk: write a number from 0.`);
  return Number(text);
}

function isMode(word: string): word is Mode {
  return Object.hasOwn(MODES, word);
}

function modesWith(option: string): string {
  const modes = Object.entries(MODES).filter(([, { takes }]) => (takes as readonly string[]).includes(option));
  const names = modes.map(([mode]) => mode);
  return names.length === 1 ? `the mode ${names[0]}` : `the modes ${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([first]) => first.length));
  return rows.map(([first, second]) => `  ${first.padEnd(width)}  ${second}`).join('\n');
}
