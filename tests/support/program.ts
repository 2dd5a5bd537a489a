import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { onEnd } from './on-end.ts';
import { until } from './until.ts';

export const PROJECT = join(import.meta.dirname, '../..');

export interface Program {
  pid: number;
  stdout: string;
  stderr: string;
  /** Resolves with the exit code, or null after a signal. */
  exited: Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
  /** Ctrl+C in a terminal: the whole process group gets it. */
  interrupt(): void;
  /** Nobody reads its output any more. */
  closeOutput(): void;
  /** Waits until the program has written this, on stdout or stderr. */
  says(text: string | RegExp): Promise<true>;
}

export interface ProgramOptions {
  env?: Record<string, string>;
  input?: string | Uint8Array;
  cwd?: string;
  /** In a process group of its own, as a terminal starts it; `interrupt` then reaches all of it. */
  group?: boolean;
  /** As somebody else than this process, which must be root for that. */
  user?: { uid: number; gid: number } | undefined;
}

/** Starts a TypeScript program as npm's scripts do, in one process; it does not outlive the test. */
export function startProgram(file: string, args: string[] = [], options: ProgramOptions = {}): Program {
  return track(
    spawn(process.execPath, ['--import', 'tsx', file, ...args], {
      cwd: options.cwd ?? PROJECT,
      env: { ...cleanEnvironment(), ...options.env },
    }),
    options.input,
  );
}

/** Starts a command of the PATH, with the project's binaries first in it. */
export function startCommand(command: string, args: string[], options: ProgramOptions = {}): Program {
  const cwd = options.cwd ?? PROJECT;
  const PATH = `${join(cwd, 'node_modules/.bin')}:${process.env.PATH}`;
  const env = { ...cleanEnvironment(), PATH, ...options.env };
  return track(spawn(command, args, { ...options.user, cwd, env, detached: options.group ?? false }), options.input);
}

/** Runs it to its end. */
export async function run(program: Program): Promise<Program & { exitCode: number | null }> {
  return Object.assign(program, { exitCode: await program.exited });
}

/**
 * Whatever is configured on this machine must not decide the tests, a login to Claude above all. And no process is
 * kept ready: tests count those of the calls.
 */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const foreign = /^(WORKFLOW|ANTHROPIC|CLAUDE|VITEST|NODE_OPTIONS|NODE_ENV|TEST|npm_)/;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return { ...Object.fromEntries(kept), WORKFLOW_MODEL: 'simulated', WORKFLOW_MODEL_SPARES: '0' };
}

function track(child: ChildProcess, input: string | Uint8Array | undefined): Program {
  const program: Program = {
    pid: child.pid ?? -1,
    stdout: '',
    stderr: '',
    exited: once(child, 'close').then(([code]) => code as number | null),
    kill: (signal) => void child.kill(signal),
    interrupt: () => void process.kill(-(child.pid ?? 0), 'SIGINT'),
    closeOutput: () => void child.stdout?.destroy(),
    says: (text) =>
      until(`the program says ${text}`, () => {
        const said = program.stdout + program.stderr;
        if (typeof text === 'string' ? said.includes(text) : text.test(said)) return true;
        if (child.exitCode === null && child.signalCode === null) return false;
        throw new Error(`The program ended without saying ${text}:\n${said}`);
      }),
  };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (program.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (program.stderr += text));
  child.stdin?.on('error', () => undefined).end(input ?? '');
  onEnd(async ({ failed }) => {
    if (failed) console.error(`stdout:\n${program.stdout}\nstderr:\n${program.stderr}`);
    if (child.exitCode === null && child.signalCode === null) {
      // In order first: what it holds in a database is to be closed before that is dropped.
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await program.exited.finally(() => clearTimeout(timer));
    }
  });
  return program;
}
