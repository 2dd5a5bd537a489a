import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import type { SpawnOptions, SpawnedProcess } from 'ai-sdk-provider-claude-code';
import { simulatedEnvironment } from './cli-environment.ts';

const DIRECTORY_PREFIX = 'postgres-world-claude-';

/** Each child and its directory. */
const running = new Map<ChildProcess, string>();
process.on('exit', () => {
  for (const [child, directory] of running) {
    child.kill('SIGKILL');
    remove(directory);
  }
});

/** Whether Linux can be told to kill the CLI when this process dies, be it by SIGKILL. */
const canFollowToDeath =
  process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'KILL', '--', 'true']).status === 0;

export interface CliProcessOptions {
  /** Kills the process at once. (Asked to stop, the SDK takes two seconds, and the model goes on.) */
  signal: AbortSignal;
  /** Replaces the inherited environment, for the simulated API: it must see nothing of a login. */
  simulatedApiUrl?: string | undefined;
}

/**
 * Starts the CLI for one call: in an empty directory of its own, which is removed afterwards, and so
 * that it does not outlive us. For the provider's `spawnClaudeCodeProcess`.
 */
export function spawnCli(options: SpawnOptions, { signal, simulatedApiUrl }: CliProcessOptions): SpawnedProcess {
  removeLeftovers();
  const directory = mkdtempSync(join(tmpdir(), `${DIRECTORY_PREFIX}${process.pid}-`));
  const [cwd, temporary] = [join(directory, 'work'), join(directory, 'tmp')];
  for (const path of [cwd, temporary]) mkdirSync(path, { mode: 0o700 });
  const env = { ...options.env, TMPDIR: temporary, CLAUDE_CODE_TMPDIR: temporary };
  const own = { HOME: directory, CLAUDE_CONFIG_DIR: join(directory, 'config') };
  // Of a missing CLI, setpriv would say that by an exit code only.
  const isMissing = isAbsolute(options.command) && !existsSync(options.command);
  const follows = canFollowToDeath && !isMissing;
  const command = follows ? 'setpriv' : options.command;
  const args = follows ? ['--pdeathsig', 'KILL', '--', options.command, ...options.args] : options.args;
  const child = spawn(command, args, {
    cwd,
    env: simulatedApiUrl ? { ...simulatedEnvironment(env, simulatedApiUrl), ...own } : env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  const signals = AbortSignal.any([signal, options.signal]);
  signals.addEventListener('abort', kill, { once: true });
  if (signals.aborted) kill();

  running.set(child, directory);
  child.once('close', () => {
    running.delete(child);
    signals.removeEventListener('abort', kill);
    remove(directory);
  });
  return child;
}

/** Directories of processes that were killed, and could not remove theirs. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(DIRECTORY_PREFIX)) continue;
    const pid = Number.parseInt(name.slice(DIRECTORY_PREFIX.length), 10);
    if (pid > 0 && !isAlive(pid)) remove(join(tmpdir(), name));
  }
}

function remove(directory: string): void {
  try {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  } catch {
    // The child still writes while it dies, or the directory is another user's: no reason to fail a call.
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
