import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../config/config.ts';

/** A worker in a process of its own. Disposed, it hands its work back and ends. */
export interface WorkerProcess extends AsyncDisposable {
  pid: number;
  /** Resolves when it takes work; rejects when it ends before that. */
  ready: Promise<void>;
  /** Rejects when it ends without having been killed or disposed. */
  died: Promise<never>;
  /** SIGKILL: it cannot say goodbye. Resolves when it is gone. */
  kill(): Promise<void>;
}

export interface WorkerProcessOptions {
  environment: NodeJS.ProcessEnv;
  /** Undefined: it asks Claude. */
  simulatedApiUrl: string | undefined;
  verbose: boolean;
}

/** A worker that is in the middle of stopping is not waited for longer than it takes by itself. */
const KILL_AFTER_MS = 6_000;

export function startWorkerProcess({ environment, simulatedApiUrl, verbose }: WorkerProcessOptions): WorkerProcess {
  const file = fileURLToPath(new URL('worker.ts', import.meta.url));
  const args = [...(simulatedApiUrl ? [simulatedApiUrl] : []), ...(verbose ? ['--verbose'] : [])];
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), file, ...args], {
    env: environment,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let expected = false;
  const ended = once(child, 'exit');
  const died = ended.then(([code, signal]) => {
    if (expected) return new Promise<never>(() => undefined);
    throw new ConfigError(`The worker ${child.pid} ended by itself (${signal ?? `exit code ${code}`}): see above.`);
  });
  const ready = Promise.race([once(child, 'message').then(() => undefined), died]);
  // Nobody may be waiting at the moment.
  for (const promise of [died, ready]) promise.catch(() => undefined);

  const end = async (signal: NodeJS.Signals) => {
    expected = true;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    await ended.finally(() => clearTimeout(timer));
  };
  return {
    pid: child.pid ?? -1,
    ready,
    died,
    kill: () => end('SIGKILL'),
    [Symbol.asyncDispose]: () => end('SIGTERM'),
  };
}
