import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import type { CliStart } from './cli-process.ts';

/**
 * Options with which starting the CLI does nothing and reads nothing but what {@link kindOf} knows. Not those that
 * resume a conversation, start servers or hooks, or name something that only one call may have.
 */
const REPEATABLE = new Set([
  '--output-format',
  '--input-format',
  '--verbose',
  '--include-partial-messages',
  '--no-session-persistence',
  '--model',
  '--effort',
  '--thinking',
  '--max-thinking-tokens',
  '--max-turns',
  '--tools',
  '--setting-sources=',
  '--strict-mcp-config',
  '--permission-mode',
]);

/** Whether a process may be started so before it is known what for. */
export function isRepeatable({ command, args }: CliStart): boolean {
  const hasNoTools = args[args.indexOf('--tools') + 1] === '';
  return isAbsolute(command) && hasNoTools && args.every((arg) => !arg.startsWith('-') || REPEATABLE.has(arg));
}

/** What two processes have in common that can take each other's calls: options, environment, login and version. */
export function kindOf({ command, args, env, simulatedApiUrl }: CliStart): string {
  const variables = Object.entries(env).filter(([, value]) => value !== undefined);
  const sorted = variables.toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([command, versionOf(command), args, sorted, simulatedApiUrl, storedKey(env)]);
}

/** An installation replaces the file. */
function versionOf(command: string): unknown {
  const { ino, size, mtimeMs } = statSync(command, { throwIfNoEntry: false }) ?? {};
  return [ino, size, mtimeMs];
}

/**
 * The API key that a login has stored in the configuration, which the CLI reads when it starts. (The tokens of a
 * subscription it reads again before each request.)
 */
function storedKey({ CLAUDE_CONFIG_DIR, HOME }: CliStart['env']): string | undefined {
  try {
    const configuration = readFileSync(join(CLAUDE_CONFIG_DIR || HOME || homedir(), '.claude.json'), 'utf8');
    return /"primaryApiKey":\s*"[^"]*"/.exec(configuration)?.[0];
  } catch {
    return undefined;
  }
}
