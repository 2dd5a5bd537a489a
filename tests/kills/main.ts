/**
 * `npm run chaos:kills`: how long the runs of a killed worker stand still. `-- --help` lists the
 * options. The workers, and their workflows, are those of the tests.
 */
import { exitCodeOf, explain } from '../../src/cli/errors.ts';
import { createOutput } from '../../src/cli/output.ts';
import { listenForShutdown, rejectOnAbort } from '../../src/cli/shutdown.ts';
import { UsageError } from '../../src/cli/usage-error.ts';
import { endWith } from '../support/on-end.ts';
import { createRandom } from '../support/random.ts';
import { KILLS_USAGE, parseKillsCommand, type KillsCommand } from './arguments.ts';
import { createCrew, type Crew } from './crew.ts';
import { measure, type Blow, type Measurement } from './measure.ts';
import { createReport, describeReport } from './report.ts';
import { createDatabase, createStarter } from '../support/setting.ts';
import { SITUATIONS } from './situations.ts';

/** Two are struck before others are started: one with two left, and one with one left. */
const CREW_SIZE = 3;

const output = createOutput(process.argv.includes('--json'));
const stopping = listenForShutdown(output.note);
const interrupted = rejectOnAbort(stopping);
const opened = new AsyncDisposableStack();
endWith(opened);

try {
  process.exitCode = await Promise.race([main(parseKillsCommand(process.argv.slice(2))), interrupted]);
} catch (error) {
  output.note(error instanceof UsageError ? `${error.message}\n\n${KILLS_USAGE}` : explain(error, 'TEST_POSTGRES_URL'));
  process.exitCode = exitCodeOf(error);
} finally {
  await opened.disposeAsync();
}

async function main(command: KillsCommand): Promise<number> {
  if (command.help) {
    process.stdout.write(`${KILLS_USAGE}\n`);
    return 0;
  }
  output.note(`Seed ${command.seed}`);
  const database = await createDatabase();
  const start = await createStarter(database);
  const random = createRandom(command.seed);
  const measurements: Measurement[] = [];
  const strike = async (crew: Crew, blow: Blow, times: number) => {
    for (let n = 0; n < times; stopping.throwIfAborted()) {
      if (crew.size < 2) await crew.fill(CREW_SIZE);
      const situation = SITUATIONS[Math.floor(n / 2) % SITUATIONS.length]!;
      const measurement = await measure({ database, crew, situation, blow, random, start });
      if (!measurement) continue;
      n += 1;
      measurements.push(measurement);
      const { latencyMs, survivors } = measurement;
      output.note(`${n} of ${times}: ${blow} ${situation.name}, ${survivors} left: ${latencyMs} ms`);
    }
  };
  const near = createCrew(database, false);
  await strike(near, 'killed', command.kills);
  await near.dismiss();
  const distant = createCrew(database, true);
  await strike(distant, 'hung', command.hangs);
  await strike(distant, 'cut off', command.hangs);

  const report = createReport(command.seed, measurements);
  output.result({ text: describeReport(report), document: report });
  return report.violations.length === 0 ? 0 : 1;
}
