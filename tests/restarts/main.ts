/** `npm run chaos:restarts`: what a server that crashes again and again costs streams. `-- --help` lists the options. */
import { exitCodeOf, explain } from '../../src/cli/errors.ts';
import { createOutput } from '../../src/cli/output.ts';
import { listenForShutdown, rejectOnAbort } from '../../src/cli/shutdown.ts';
import { UsageError } from '../../src/cli/usage-error.ts';
import { endWith } from '../support/on-end.ts';
import { parseRestartsCommand, RESTARTS_USAGE, type RestartsCommand } from './arguments.ts';
import { describeReport, examine } from './report.ts';
import { runThroughRestarts } from './run-through-restarts.ts';

const output = createOutput(process.argv.includes('--json'));
const stopping = listenForShutdown(output.note);
const opened = new AsyncDisposableStack();
endWith(opened);

try {
  process.exitCode = await Promise.race([main(parseRestartsCommand(process.argv.slice(2))), rejectOnAbort(stopping)]);
} catch (error) {
  output.note(
    error instanceof UsageError ? `${error.message}\n\n${RESTARTS_USAGE}` : explain(error, 'TEST_POSTGRES_URL'),
  );
  process.exitCode = exitCodeOf(error);
} finally {
  await opened.disposeAsync();
}

async function main(command: RestartsCommand): Promise<number> {
  if (command.help) {
    process.stdout.write(`${RESTARTS_USAGE}\n`);
    return 0;
  }
  const outcome = await runThroughRestarts(command, output.note);
  const report = await examine(outcome);
  output.result({ text: describeReport(report), document: report });
  return report.problems.length === 0 ? 0 : 1;
}
