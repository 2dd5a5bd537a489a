/** `npm run chaos:statements`: see USAGE. */
import { parseArgs } from 'node:util';
import { startTestServer } from '../support/test-server.ts';
import { OURS, STOCK } from './engine.ts';
import type { Outcome } from './lane.ts';
import { countStatements, sample, sweepStatements } from './sweep.ts';
import { describeOutcome, summarize } from './table.ts';

const USAGE = `Kills the worker of a run before the k-th SQL statement that serves it, for every k, and looks
at what becomes of the run when another worker goes on.

  npm run chaos:statements [-- OPTIONS]

  --only K        this statement alone, and what the workers wrote
  --from K, --to K  these only (default: all of them)
  --sample N      N of these, chosen by the seed
  --seed S        (default: another one each time; it is printed)
  --lanes N       this many at the same time, each on a database of its own (default: 8)
  --stock         the same for @workflow/world-postgres as it comes, with its own queue
  --json          one JSON document on stdout
  --help

Exit code 0: no defect; 1: a defect; 2: wrong usage. Databases of defects are kept, in the tests' server
(.test, or that of TEST_POSTGRES_URL).`;

const options = {
  only: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  sample: { type: 'string' },
  seed: { type: 'string' },
  lanes: { type: 'string', default: '8' },
  stock: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

function readArguments() {
  try {
    const { values } = parseArgs({ options });
    const numbers = Object.entries(values).filter(([name]) => !['json', 'help', 'stock'].includes(name));
    const wrong = numbers.find(([, value]) => !/^\d+$/.test(String(value)));
    if (wrong) throw new Error(`--${wrong[0]} is not a whole number: ${String(wrong[1])}`);
    const number = (name: 'only' | 'from' | 'to' | 'sample' | 'seed' | 'lanes') =>
      values[name] === undefined ? undefined : Number(values[name]);
    return { ...values, number };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return process.exit(2);
  }
}

const { json, help, stock, number } = readArguments();
if (help) {
  console.log(USAGE);
  process.exit(0);
}

await using server = await startTestServer();
const only = number('only');
const sweeping = {
  engine: stock ? STOCK : OURS,
  serverUrl: server.url,
  template: server.template,
  lanes: number('lanes')!,
  onOutcome(outcome: Outcome, database: string, output: string) {
    const kept = outcome.verdict === 'defect' ? ` (database ${database}, run ${outcome.runId})` : '';
    console.error(describeOutcome(outcome) + kept);
    if (only !== undefined) console.error(output);
  },
};
const beganAt = Date.now();
const total = await countStatements(sweeping);
const seed = number('seed') ?? Math.floor(Math.random() * 1e9);
console.error(`A run that nobody disturbs takes ${total} statements.`);
const first = only ?? number('from') ?? 1;
const last = only ?? number('to') ?? total;
const count = number('sample') ?? Infinity;
if (count < last - first + 1) console.error(`A sample of ${count}, seed ${seed}.`);
const outcomes = await sweepStatements(sample(first, last, count, seed), sweeping);
const seconds = Math.round((Date.now() - beganAt) / 1_000);
console.log(json ? JSON.stringify({ statements: total, seed, seconds, outcomes }) : summarize(outcomes, seconds));
if (outcomes.some(({ verdict }) => verdict === 'defect')) process.exitCode = 1;
