import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PROJECT } from '../../tests/support/program.ts';
import type { Message, Question } from '../workers/messages.ts';

const STOP_PATIENCE_MS = 10_000;

const running = new Set<WorkerProcess>();

export interface WorkerProcess {
  pid: number;
  ask<T>(name: string, ...args: unknown[]): Promise<T>;
  /** In order, so that the server gets to know what its backends have done. */
  stop(): Promise<void>;
}

export interface WorkerOptions {
  module: string;
  env: Record<string, string>;
  onSteps(steps: number, lastAt: number): void;
  onDeath(error: Error): void;
}

/** Resolves when it takes work. */
export async function startWorker({ module, env, onSteps, onDeath }: WorkerOptions): Promise<WorkerProcess> {
  const child = fork(module, {
    cwd: PROJECT,
    // Without tsx, and with modules that were compiled before.
    execArgv: [],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      // For a profile of each: --cpu-prof.
      NODE_OPTIONS: process.env.NODE_OPTIONS,
      NODE_COMPILE_CACHE: join(PROJECT, '.bench/compile-cache'),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  let isReady = false;
  let stopping = false;
  let dead: Error | undefined;
  let lastId = 0;
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-4_000)));
  const ready = Promise.withResolvers<void>();

  child.on('message', (message: Message) => {
    if ('ready' in message) {
      isReady = true;
      ready.resolve();
    } else if ('steps' in message) onSteps(message.steps, message.lastAt);
    else if (message.error === undefined) waiting.get(message.id)?.resolve(message.value);
    else waiting.get(message.id)?.reject(new Error(message.error));
  });
  child.on('exit', () => {
    if (stopping) return;
    running.delete(worker);
    dead = new Error(`A worker ended:\n${output}`);
    ready.reject(dead);
    for (const { reject } of waiting.values()) reject(dead);
    onDeath(dead);
  });
  const worker: WorkerProcess = {
    pid: child.pid!,
    async ask<T>(name: string, ...args: unknown[]) {
      if (dead) throw dead;
      const id = (lastId += 1);
      const answered = Promise.withResolvers<unknown>();
      waiting.set(id, answered);
      child.send({ id, name, args } satisfies Question);
      return (await answered.promise.finally(() => waiting.delete(id))) as T;
    },
    async stop() {
      if (dead || stopping) return;
      stopping = true;
      running.delete(worker);
      const closed = once(child, 'exit');
      if (isReady) child.disconnect();
      else child.kill();
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS);
      await closed.finally(() => clearTimeout(timer));
    },
  };
  running.add(worker);
  await ready.promise;
  return worker;
}

/** For the end of a benchmark that was interrupted in the middle of something. */
export async function stopWorkers(): Promise<void> {
  await Promise.all([...running].map((worker) => worker.stop()));
}
