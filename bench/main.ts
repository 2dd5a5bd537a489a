/** `npm run bench`: what a durable step costs, beside others. `-- --help` lists the options. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exitCodeOf, explain } from '../src/cli/errors.ts';
import { createOutput } from '../src/cli/output.ts';
import { listenForShutdown, rejectOnAbort } from '../src/cli/shutdown.ts';
import { UsageError } from '../src/cli/usage-error.ts';
import { parseBenchCommand, USAGE, type BenchCommand } from './arguments.ts';
import { describeMachine } from './report/machine.ts';
import { summarize } from './report/summary.ts';
import { describe } from './report/table.ts';
import { CAN_COUNT_CPU } from './setting/processes.ts';
import { startServer } from './setting/server.ts';
import { stopWorkers } from './setting/worker-process.ts';
import { measureInTurns } from './turns.ts';

const output = createOutput(process.argv.includes('--json'));
const signal = listenForShutdown(output.note);
const opened = new AsyncDisposableStack();

try {
  process.exitCode = await Promise.race([main(parseBenchCommand(process.argv.slice(2))), rejectOnAbort(signal)]);
} catch (error) {
  output.note(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : explain(error));
  process.exitCode = exitCodeOf(error);
} finally {
  await stopWorkers();
  await opened.disposeAsync();
}

async function main(command: BenchCommand): Promise<number> {
  if (command.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const server = opened.use(await startServer());
  const machine = await describeMachine(server);
  const settings = Object.entries(machine.settings).map(([name, value]) => `${name}=${value}`);
  output.note(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}; PostgreSQL: ${settings.join(', ')}`);
  if (!CAN_COUNT_CPU) output.note('CPU time is counted on Linux only.');

  const measured = await measureInTurns(server, command, { note: output.note, signal });
  const { missing, measurements } = measured;
  const summary = summarize(measurements);
  const systems = Object.fromEntries(command.systems.map(({ name }) => [name, { missing: missing[name] ?? null }]));
  const document = { machine, quick: command.quick, turns: command.turns, systems, ...summary, measurements };
  if (command.whole) {
    await writeFile(join(import.meta.dirname, 'results.json'), `${JSON.stringify(document, undefined, 2)}\n`);
  }
  output.result({ text: describe(command, summary, measured), document });
  return measurements.some(({ system, error }) => system === 'ours' && error !== undefined) ? 1 : 0;
}
