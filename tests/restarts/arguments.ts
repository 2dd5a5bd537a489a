import { parseOptions } from '../../src/cli/parse-options.ts';
import { UsageError } from '../../src/cli/usage-error.ts';

export interface RestartsCommand {
  runs: number;
  workers: number;
  /** Between two of them, from when the server answers. */
  everySeconds: number;
  help: boolean;
}

const DEFAULTS = { runs: '500', workers: '3', every: '3' };

export const RESTARTS_USAGE = `Usage: npm run chaos:restarts [-- OPTIONS]

Runs of which each writes a stream by getWritable(), 20 chunks in half a second,
between two steps that write none, while the server is restarted as by a crash
(-m immediate), again and again until all have ended. Then it looks whether all
have completed, each stream is complete, no step was recorded twice, and none
has used up an attempt.

Options
  --runs N     default ${DEFAULTS.runs}
  --workers N  processes; default ${DEFAULTS.workers}
  --every N    seconds between two restarts; default ${DEFAULTS.every}
  --json       one JSON document on stdout, everything else on stderr
  --help, -h   this text

A PostgreSQL of its own is started, and removed at the end.

Exit codes
  0 nothing was lost; 1 something was; 2 wrong usage; 130 Ctrl+C`;

/** @throws UsageError */
export function parseRestartsCommand(args: readonly string[]): RestartsCommand {
  const options = {
    runs: { type: 'string', default: DEFAULTS.runs },
    workers: { type: 'string', default: DEFAULTS.workers },
    every: { type: 'string', default: DEFAULTS.every },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h', default: false },
  } as const;
  const { runs, workers, every, help } = parseOptions({ args: [...args], options }).values;
  return {
    runs: parseCount(runs, '--runs'),
    workers: parseCount(workers, '--workers'),
    everySeconds: parseCount(every, '--every'),
    help,
  };
}

function parseCount(text: string, option: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new UsageError(`${option} ${text} is not a number from 1 to 99999.`);
  return Number(text);
}
