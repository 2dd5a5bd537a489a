/**
 * Starts an official tool on the project's database: `workflow inspect`, `workflow web`, or the
 * dashboard of pg-boss. `tool.ts inspect --help` says how.
 */
import { readConfig } from '../config/config.ts';
import { provideDatabase } from '../postgres/provide-database.ts';
import { choosePort } from '../tools/port.ts';
import { runTool } from '../tools/run-tool.ts';
import { listenForStop } from '../tools/stop.ts';
import { parseToolCall, TOOL_USAGE, type ToolCall } from '../tools/tool-call.ts';
import { describeTool } from '../tools/tools.ts';
import { UsageError } from './usage-error.ts';
import { exitCodeOf, explain } from './errors.ts';
import { announceWorldName } from './notices.ts';

const note = (line: string) => console.error(line);
const stopping = listenForStop();

try {
  process.exitCode = await main(parseToolCall(process.argv.slice(2)));
} catch (thrown) {
  // What fails after Ctrl+C fails because of it: the terminal sends it to every process.
  const error: unknown = stopping.aborted ? stopping.reason : thrown;
  note(error instanceof UsageError ? `${error.message}\n\n${TOOL_USAGE}` : explain(error));
  process.exitCode = exitCodeOf(error);
}

async function main(call: ToolCall): Promise<number> {
  if (call.help) {
    console.log(TOOL_USAGE);
    return call.tool === 'dashboard' ? 0 : runTool(describeTool(call), stopping);
  }
  const config = readConfig();
  announceWorldName(config);
  await using opened = new AsyncDisposableStack();
  const { connectionString } = await provideDatabase(config, opened);
  const port = await choosePort(call, note);
  stopping.throwIfAborted();
  return await runTool(describeTool(call, { connectionString, queueSchema: config.queueSchema, port }), stopping);
}
