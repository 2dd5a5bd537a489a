import { countBodies, readCounters } from './counters.ts';
import { now, type Message, type Question } from './messages.ts';

type Command = (...args: never[]) => Promise<unknown>;
type Commands = Record<string, Command>;

/** Answers what the benchmark asks, until it lets go; then ends. */
export function serve(commands: Commands, stop: () => Promise<unknown>): void {
  countBodies();
  const all: Commands = {
    ...commands,
    counters: async () => readCounters(),
    async timedStart(...args) {
      const at = now();
      return { at, runIds: await commands.start!(...args) };
    },
  };
  process.on('message', ({ id, name, args }: Question) => {
    const answer = all[name] as ((...given: unknown[]) => Promise<unknown>) | undefined;
    const answering = answer?.(...args) ?? Promise.reject(new Error(`This worker knows no ${name}`));
    answering.then(
      (value) => send({ id, value }),
      (error: Error) => send({ id, error: error.stack ?? error.message }),
    );
  });
  process.once('disconnect', () => {
    // Some peers keep timers after they were stopped.
    void stop().finally(() => process.exit());
  });
  send({ ready: true });
}

/** Starts as many runs as fast as it can. Returns their ids. */
export function startAll(count: number, start: () => Promise<string>): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, start));
}

function send(message: Message): void {
  process.send?.(message);
}
