import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Command, Commands } from './commands.ts';

const NODE_COMPILE_CACHE = join(import.meta.dirname, '../../.test/compile-cache');

type Answer = { ready: true } | { id: number; value?: unknown; error?: string };

/** A process of worker.ts. */
export interface SweepWorker {
  pid: number;
  /** The statement that it was about to send when it killed itself. */
  readonly diedBefore: string | undefined;
  readonly dead: boolean;
  /** What it wrote, for a look at a failure. */
  readonly output: string;
  /** @returns undefined if it died before it had answered */
  ask<Name extends keyof Commands>(
    name: Name,
    ...args: Parameters<Commands[Name]>
  ): Promise<{ value: Awaited<ReturnType<Commands[Name]>> } | undefined>;
  kill(): Promise<void>;
}

/** Resolves when it takes work. */
export async function startSweepWorker(env: Record<string, string>): Promise<SweepWorker> {
  const child = fork(join(import.meta.dirname, 'worker.ts'), {
    // Without tsx and with its modules compiled before, a start takes 1.2 s of a processor instead of 2.
    execArgv: [],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NODE_COMPILE_CACHE, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  let dead = false;
  let lastId = 0;
  const waiting = new Map<number, (answer: Answer | undefined) => void>();
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ready = new Promise<void>((resolve, reject) => {
    child.on('message', (answer: Answer) => {
      if ('ready' in answer) resolve();
      else waiting.get(answer.id)?.(answer);
    });
    child.on('close', () => {
      dead = true;
      for (const give of waiting.values()) give(undefined);
      reject(new Error(`A worker ended before it was ready:\n${output}`));
    });
  });
  await ready;

  return {
    pid: child.pid!,
    get diedBefore() {
      const [, json] = /^(\{"diedBefore":.*\})$/m.exec(output) ?? [];
      return json && (JSON.parse(json) as { diedBefore: string }).diedBefore;
    },
    get dead() {
      return dead;
    },
    get output() {
      return output;
    },
    async ask(name, ...args) {
      if (dead) return undefined;
      const id = (lastId += 1);
      const answer = await new Promise<Answer | undefined>((resolve) => {
        waiting.set(id, resolve);
        child.send({ id, name, args } satisfies Command, (error) => error && resolve(undefined));
      });
      waiting.delete(id);
      if (!answer || 'ready' in answer) return undefined;
      if (answer.error !== undefined) throw new Error(answer.error);
      return { value: answer.value as never };
    },
    async kill() {
      if (dead) return;
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    },
  };
}
