import { parseArgs } from 'node:util';
import { UsageError } from '../cli/usage-error.ts';

const TOOLS = ['inspect', 'web', 'dashboard'] as const;

export interface ToolCall {
  tool: (typeof TOOLS)[number];
  /** The port that was asked for, for a page. */
  port: number | undefined;
  /** What the tool itself gets. */
  args: string[];
  help: boolean;
}

export const TOOL_USAGE = `Official tools, on the database of WORKFLOW_POSTGRES_URL or the embedded one:

  npm run -s postgres-world:inspect -- [ARGUMENTS]
      workflow inspect; without arguments: the runs
  npm run postgres-world:web -- [RUN_ID] [--port N]
      workflow web, a page about the runs; port 3456 or the next free one
  npm run postgres-world:dashboard -- [--port N]
      @pg-boss/dashboard, a page about the queue; port 3000 or the next free one

The pages are reachable from this machine only; Ctrl+C ends them. The dashboard
changes nothing, since its jobs are the leases of the runs;
PGBOSS_DASHBOARD_READ_ONLY=0 lets it.

Examples
  npm run -s postgres-world:inspect -- runs --json
  npm run -s postgres-world:inspect -- steps --runId wrun_…
  npm run postgres-world:web -- wrun_…`;

/** @throws UsageError */
export function parseToolCall([tool, ...args]: readonly string[]): ToolCall {
  if (!isTool(tool)) throw new UsageError(tool ? `There is no tool "${tool}".` : 'Which tool?');
  const help = args.includes('--help') || args.includes('-h');
  if (tool === 'inspect') {
    const what = args[0]?.startsWith('-') === false ? [] : ['runs'];
    return { tool, port: undefined, args: [...what, ...args], help };
  }
  const { port, rest } = takePort(args);
  if (tool === 'dashboard' && rest.length > 0 && !help) {
    throw new UsageError(`The dashboard takes --port N only, not "${rest.join(' ')}".`);
  }
  return { tool, port, args: rest, help };
}

/** The port is ours to check; everything else is for the tool to understand. */
function takePort(args: string[]): { port: number | undefined; rest: string[] } {
  const string = { type: 'string' } as const;
  // `workflow web` calls it webPort.
  const options = { port: string, webPort: string };
  const { values, tokens } = parseArgs({ args, options, strict: false, tokens: true });
  const taken = new Set<number>();
  for (const token of tokens) {
    if (token.kind !== 'option' || !(token.name in options)) continue;
    taken.add(token.index);
    if (!token.inlineValue) taken.add(token.index + 1);
  }
  const given = values.port ?? values.webPort;
  return { port: given === undefined ? undefined : toPort(given), rest: args.filter((_, index) => !taken.has(index)) };
}

function toPort(given: unknown): number {
  const port = Number(given);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new UsageError(`--port ${given === true ? '' : String(given)} is not a port: write a number from 1 to 65535.`);
}

function isTool(word: string | undefined): word is (typeof TOOLS)[number] {
  return (TOOLS as readonly (string | undefined)[]).includes(word);
}
