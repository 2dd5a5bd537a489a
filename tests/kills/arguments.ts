import { parseOptions } from '../../src/cli/parse-options.ts';
import { UsageError } from '../../src/cli/usage-error.ts';

export interface KillsCommand {
  /** By SIGKILL. */
  kills: number;
  /** Of each other way to be gone: stopped, and cut off from the network. */
  hangs: number;
  seed: number;
  help: boolean;
}

const DEFAULTS = { kills: '24', hangs: '2' };

export const KILLS_USAGE = `Usage: npm run chaos:kills [-- OPTIONS]

Kills workers (SIGKILL) while they replay, in a step, in parallel steps and in a
durable wait, with one worker left and with several, and measures how long it
takes until the first new event of their run; in a wait, from when it is due.
Then the same with workers that hang (SIGSTOP) and whose network is cut.

Options
  --kills N   how many are killed; default ${DEFAULTS.kills}, a multiple of 8 covers all alike
  --hangs N   how many hang, and how many are cut off; default ${DEFAULTS.hangs}
  --seed N    decides the moments; default: another one each time
  --json      one JSON document on stdout, everything else on stderr
  --help, -h  this text

A PostgreSQL for the tests is started; TEST_POSTGRES_URL, a superuser's, names
another one. The database is dropped at the end.

Exit codes
  0 all within the bounds; 1 one is broken; 2 wrong usage; 130 Ctrl+C`;

/** @throws UsageError */
export function parseKillsCommand(args: readonly string[]): KillsCommand {
  const { kills = DEFAULTS.kills, hangs = DEFAULTS.hangs, seed, help = false } = parse(args);
  return {
    kills: parseCount(kills, '--kills'),
    hangs: parseCount(hangs, '--hangs'),
    seed: seed === undefined ? Math.floor(Math.random() * 1_000_000) : parseCount(seed, '--seed'),
    help,
  };
}

function parse(args: readonly string[]) {
  const options = {
    kills: { type: 'string' },
    hangs: { type: 'string' },
    seed: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  return parseOptions({ args: [...args], options }).values;
}

function parseCount(text: string, option: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new UsageError(`${option} ${text} is not a number from 0 to 999999.`);
  return Number(text);
}
