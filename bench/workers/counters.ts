import { now, type Message } from './messages.ts';

/** What a workflow says at its first line: its sandbox shares the console, and little else, with the process. */
const BODY_ENTERED = 'bench: a workflow was entered';

/** Steps are counted here, wherever the compiler has put their code. */
const COUNTERS = Symbol.for('bench/counters');

interface Counters {
  /** How often workflow functions were entered. */
  bodies: number;
  /** Step → how often it ran. */
  steps: Map<string, number>;
  unsent: number;
}

const counters = ((globalThis as { [COUNTERS]?: Counters })[COUNTERS] ??= { bodies: 0, steps: new Map(), unsent: 0 });

/** Called by each step: tells the benchmark, soon. */
export function noteStep(id: string): void {
  counters.steps.set(id, (counters.steps.get(id) ?? 0) + 1);
  const lastAt = now();
  counters.unsent += 1;
  // Once per turn of the event loop: many steps at once are one message.
  if (counters.unsent === 1) {
    setImmediate(() => {
      process.send?.({ steps: counters.unsent, lastAt } satisfies Message);
      counters.unsent = 0;
    });
  }
}

/** Called at the first line of a workflow: of each replay, where there are replays. */
export function noteBody(): void {
  console.debug(BODY_ENTERED);
}

export function countBodies(): void {
  const { debug } = console;
  console.debug = (...args: unknown[]) => {
    if (args[0] === BODY_ENTERED) counters.bodies += 1;
    else debug(...args);
  };
}

export function readCounters() {
  return { bodies: counters.bodies, steps: Object.fromEntries(counters.steps) };
}
