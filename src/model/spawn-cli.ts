import type { SpawnOptions, SpawnedProcess } from 'ai-sdk-provider-claude-code';
import type { Spares } from './spares.ts';

export interface CliCall {
  spares: Spares;
  /** Kills the process at once. (Asked to stop, the SDK takes two seconds, and the model goes on.) */
  signal: AbortSignal;
  /** Set where the answer is to be simulated. */
  simulatedApiUrl?: string | undefined;
}

/** The process of one call, which is killed when that is. For the provider's `spawnClaudeCodeProcess`. */
export function spawnCli(options: SpawnOptions, { spares, signal, simulatedApiUrl }: CliCall): SpawnedProcess {
  const { command, env } = options;
  const { child } = spares.obtain({ command, args: withoutSchema(options.args), env, simulatedApiUrl });
  const kill = () => child.kill('SIGKILL');
  const signals = AbortSignal.any([signal, options.signal]);
  signals.addEventListener('abort', kill, { once: true });
  child.once('close', () => signals.removeEventListener('abort', kill));
  if (signals.aborted) kill();
  return child;
}

/**
 * The SDK gives the schema of an object twice: as an argument, and in its first message to the CLI, which suffices.
 * Without the argument, a process can be started before it is known what for.
 */
function withoutSchema(args: readonly string[]): string[] {
  return args.filter((arg, n) => arg !== '--json-schema' && args[n - 1] !== '--json-schema');
}
