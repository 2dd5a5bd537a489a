import { parseOptions } from '../src/cli/parse-options.ts';
import { UsageError } from '../src/cli/usage-error.ts';
import { systems } from './systems/all.ts';
import type { System } from './systems/system.ts';
import { workloads } from './workloads/all.ts';
import type { Workload } from './workloads/workload.ts';

const DEFAULT_TURNS = 3;

export interface BenchCommand {
  help: boolean;
  json: boolean;
  quick: boolean;
  /** All there is, in full size. */
  whole: boolean;
  turns: number;
  workloads: Workload[];
  systems: System[];
}

export const USAGE = `Usage: npm run bench [-- OPTIONS]

What a durable step costs: this project beside what one statement costs (the
floor), Workflow DevKit on world-postgres as it comes (stock), and DBOS. One
PostgreSQL, started for it, with fsync on; every system in a database and in
processes of its own; in turns. bench/README.md says how to read it. With all
workloads and systems, the medians and every turn go to bench/results.json.

Options
  --only W1,W2       some of the workloads
  --systems ours,…   some of ${systems.map(({ name }) => name).join(', ')}
  --turns N          of each; default ${DEFAULT_TURNS}
  --quick            one turn and small sizes, to see that it works: its figures
                     mean nothing
  --json             the document on stdout, everything else on stderr
  --help, -h         this text

Workloads
${workloads.map(({ name, title }) => `  ${name.padEnd(6)}${title}`).join('\n')}`;

/** @throws UsageError */
export function parseBenchCommand(args: string[]): BenchCommand {
  const options = {
    only: { type: 'string' },
    systems: { type: 'string' },
    turns: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  } as const;
  const { values } = parseOptions({ args, options });
  const { only, turns, quick, json, help } = values;
  if (turns !== undefined && !/^[1-9]\d?$/.test(turns)) throw new UsageError(`${turns} is not a number from 1 to 99.`);
  return {
    help,
    json,
    quick,
    whole: !quick && only === undefined && values.systems === undefined,
    turns: turns === undefined ? (quick ? 1 : DEFAULT_TURNS) : Number(turns),
    workloads: pick('workload', workloads, only),
    systems: pick('system', systems, values.systems),
  };
}

function pick<T extends { name: string }>(what: string, all: readonly T[], names: string | undefined): T[] {
  if (names === undefined) return [...all];
  const wanted = names.split(',');
  const unknown = wanted.find((name) => !all.some((it) => it.name === name));
  if (unknown !== undefined) throw new UsageError(`There is no ${what} ${unknown}.`);
  return all.filter(({ name }) => wanted.includes(name));
}
