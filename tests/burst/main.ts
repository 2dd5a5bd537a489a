/** `npm run bench:spawns`: when the first tokens of many parallel calls come. `-- --help` lists the options. */
import { availableParallelism } from 'node:os';
import { exitCodeOf, explain } from '../../src/cli/errors.ts';
import { alignColumns, formatDuration } from '../../src/cli/format.ts';
import { createOutput } from '../../src/cli/output.ts';
import { parseOptions } from '../../src/cli/parse-options.ts';
import { listenForShutdown, rejectOnAbort } from '../../src/cli/shutdown.ts';
import { UsageError } from '../../src/cli/usage-error.ts';
import { endWith } from '../support/on-end.ts';
import { createDatabase, createStarter } from '../support/setting.ts';
import { measureBurst, median, type Burst } from './measure.ts';

const DEFAULTS = { calls: '32', turns: '3', spawns: String(availableParallelism()) };

const USAGE = `Usage: npm run bench:spawns [-- OPTIONS]

One run with many parallel steps, each a call of the real CLI, answered by the
simulated API, on one worker: when do their first tokens come? In turns with a
limit of processes that start at once (WORKFLOW_MODEL_SPAWNS), and without.

Options
  --calls N   parallel steps; default ${DEFAULTS.calls}
  --turns N   of each; default ${DEFAULTS.turns}
  --spawns N  the limit; default ${DEFAULTS.spawns}, as many as there are CPUs here
  --json      one JSON document on stdout, everything else on stderr
  --help, -h  this text

A PostgreSQL for the tests is started; TEST_POSTGRES_URL, a superuser's, names
another one. The database is dropped at the end.`;

const output = createOutput(process.argv.includes('--json'));
const stopping = listenForShutdown(output.note);
const opened = new AsyncDisposableStack();
endWith(opened);

try {
  process.exitCode = await Promise.race([main(), rejectOnAbort(stopping)]);
} catch (error) {
  output.note(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : explain(error, 'TEST_POSTGRES_URL'));
  process.exitCode = exitCodeOf(error);
} finally {
  await opened.disposeAsync();
}

async function main(): Promise<number> {
  const { help, ...counts } = parse();
  if (help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const [calls, turns, spawns] = [counts.calls, counts.turns, counts.spawns].map(toCount) as [number, number, number];
  const database = await createDatabase();
  const start = await createStarter(database, 'model-workflows.ts');
  const limits = [spawns, calls];
  const bursts: Burst[] = [];
  for (let turn = 1; turn <= turns; turn += 1) {
    for (const limit of limits) {
      stopping.throwIfAborted();
      const burst = await measureBurst({ database, start, calls, limit });
      bursts.push(burst);
      const last = formatDuration(burst.firstTokensMs.at(-1) ?? 0);
      output.note(`${turn} of ${turns}, ${limit} at once: the last of the first tokens after ${last}`);
    }
  }
  const medians = limits.map((limit) => medianOf(bursts.filter((it) => it.limit === limit)));
  output.result({ text: describe(medians, calls), document: { calls, turns, medians, bursts } });
  return 0;
}

function medianOf(bursts: readonly Burst[]) {
  const of = (value: (burst: Burst) => number) => Math.round(median(bursts.map(value)));
  const nth = (share: number) => (burst: Burst) =>
    burst.firstTokensMs[Math.floor(share * (burst.firstTokensMs.length - 1))] ?? 0;
  return {
    limit: bursts[0]?.limit ?? 0,
    firstMs: of(nth(0)),
    medianMs: of(nth(0.5)),
    lastMs: of(nth(1)),
    longestGapMs: of(({ longestGapMs }) => longestGapMs),
    outOfOrder: of(({ outOfOrder }) => outOfOrder),
    totalMs: of(({ totalMs }) => totalMs),
  };
}

function describe(medians: ReturnType<typeof medianOf>[], calls: number): string {
  const head = [
    'start at once',
    'first token',
    'half of them',
    'all of them',
    'longest gap',
    'out of order',
    'all done',
  ];
  const rows = medians.map(({ limit, outOfOrder, firstMs, medianMs, lastMs, longestGapMs, totalMs }) => [
    limit === calls ? 'all' : String(limit),
    ...[firstMs, medianMs, lastMs, longestGapMs].map(formatDuration),
    String(outOfOrder),
    formatDuration(totalMs),
  ]);
  return [`${calls} parallel calls, medians, from the start of the first step`, ...alignColumns([head, ...rows])].join(
    '\n',
  );
}

function parse() {
  const options = {
    calls: { type: 'string', default: DEFAULTS.calls },
    turns: { type: 'string', default: DEFAULTS.turns },
    spawns: { type: 'string', default: DEFAULTS.spawns },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  return parseOptions({ args: process.argv.slice(2), options }).values;
}

function toCount(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) throw new UsageError(`${text} is not a number from 1 to 999.`);
  return Number(text);
}
