import { getCurrent } from '../runtime/current-world.ts';
import { runOutsideOfScopes } from '../runtime/scope.ts';
import { isAsStarted, startCli, type CliProcess, type CliStart } from './cli-process.ts';
import { isRepeatable, kindOf } from './cli-kind.ts';
import type { Turns } from './turns.ts';

/** Processes that were started ahead of the calls that they are for. See "A call of a model" in docs/ARCHITECTURE.md. */
export interface Spares {
  /**
   * A process for one call: the one that was started ahead of it, if there is one and it was started as this call
   * wants it, else a new one. Another may be started for the next call.
   */
  obtain(start: CliStart): CliProcess;
}

/** So long nobody must have been given a process before a spare one is started: the first token of a call comes first. */
const QUIET_MS = 250;

/** Before the next spare process, this one gets the CPU to start. */
const STARTING_MS = 1_000;

/** A login that the CLI has read when it started may have changed; and what nobody wants costs memory. */
const LIFE_MS = 60_000;

/** @param spawns a spare process takes a turn that nobody wants, and no call waits for it */
export function createSpares(spawns: Turns): Spares {
  /** By kind: how to start the next one, */
  const wanted = new Map<string, CliStart>();
  /** and those that were started. */
  const spares = new Map<string, { cli: CliProcess; leave(): void; end(): void }>();
  let timer: NodeJS.Timeout | undefined;

  const endAll = () => {
    clearTimeout(timer);
    wanted.clear();
    for (const { end } of spares.values()) end();
  };

  const startLater = (ms: number) => {
    clearTimeout(timer);
    // It is not of the step that has just called.
    timer = runOutsideOfScopes(() => setTimeout(startNext, ms).unref());
  };

  const startNext = () => {
    if (!spawns.idle) return startLater(QUIET_MS);
    const [next] = wanted;
    if (!next) return;
    const [kind, start] = next;
    wanted.delete(kind);
    try {
      add(kind, startCli(start));
    } catch {
      // No memory, or no file handles. Nobody waits for it: a call that cannot have its own process says why.
    }
    startLater(STARTING_MS);
  };

  const add = (kind: string, cli: CliProcess) => {
    const leave = () => {
      clearTimeout(life);
      if (spares.get(kind)?.cli === cli) spares.delete(kind);
    };
    const end = () => {
      leave();
      cli.child.kill('SIGKILL');
    };
    const life = setTimeout(end, LIFE_MS).unref();
    cli.child.once('error', leave).once('exit', leave);
    spares.set(kind, { cli, leave, end });
  };

  const take = (kind: string): CliProcess | undefined => {
    const spare = spares.get(kind);
    if (!spare) return undefined;
    const isFit = isAsStarted(spare.cli);
    if (isFit) spare.leave();
    else spare.end();
    return isFit ? spare.cli : undefined;
  };

  return {
    obtain(start) {
      const { config, stopping } = getCurrent()!;
      // A process that executes one run, as src/isolation does, ends with it.
      if (!config.worker || stopping.aborted || !isRepeatable(start)) return startCli(start);
      const kind = kindOf(start);
      const cli = take(kind) ?? startCli(start);
      if (wanted.size + spares.size < config.modelSpares) wanted.set(kind, start);
      stopping.addEventListener('abort', endAll, { once: true });
      startLater(QUIET_MS);
      return cli;
    },
  };
}
