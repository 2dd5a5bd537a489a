import { spawn, spawnSync, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { simulatedEnvironment, type Environment } from './cli-environment.ts';

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

/** All that the CLI is started with. What belongs to one call only comes later, on its standard input. */
export interface CliStart {
  command: string;
  args: readonly string[];
  env: Environment;
  /** Replaces the inherited environment, for the simulated API: it must see nothing of a login. */
  simulatedApiUrl?: string | undefined;
}

export interface CliProcess {
  child: ChildProcessWithoutNullStreams;
  /** Empty, and its own. */
  cwd: string;
  /** Its temporary files. */
  temporary: string;
}

/** Starts the CLI in an empty directory of its own, which is removed afterwards, and so that it does not outlive us. */
export function startCli({ command, args, env: given, simulatedApiUrl }: CliStart): CliProcess {
  removeLeftovers();
  const directory = mkdtempSync(join(tmpdir(), `${DIRECTORY_PREFIX}${process.pid}-`));
  const [cwd, temporary] = [join(directory, 'work'), join(directory, 'tmp')];
  for (const path of [cwd, temporary]) mkdirSync(path, { mode: 0o700 });
  const env = { ...given, TMPDIR: temporary, CLAUDE_CODE_TMPDIR: temporary };
  const own = { HOME: directory, CLAUDE_CONFIG_DIR: join(directory, 'config') };
  // Of a missing CLI, setpriv would say that by an exit code only.
  const isMissing = isAbsolute(command) && !existsSync(command);
  const follows = canFollowToDeath && !isMissing;
  const child = spawn(follows ? 'setpriv' : command, follows ? ['--pdeathsig', 'KILL', '--', command, ...args] : args, {
    cwd,
    env: simulatedApiUrl ? { ...simulatedEnvironment(env, simulatedApiUrl), ...own } : env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.set(child, directory);
  child.once('close', () => {
    running.delete(child);
    remove(directory);
  });
  return { child, cwd, temporary };
}

/** Whether it runs, as far as is known, and its directories are as they were made. */
export function isAsStarted({ child, cwd, temporary }: CliProcess): boolean {
  const runs = child.pid !== undefined && child.exitCode === null && child.signalCode === null && !child.killed;
  try {
    return runs && readdirSync(cwd).length === 0 && existsSync(temporary);
  } catch {
    return false;
  }
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
