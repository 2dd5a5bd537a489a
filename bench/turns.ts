import type { BenchCommand } from './arguments.ts';
import type { BenchServer } from './setting/server.ts';
import type { System } from './systems/system.ts';
import type { Figures } from './workloads/workload.ts';

/** One workload on one system, once. */
export interface Measurement {
  turn: number;
  workload: string;
  system: string;
  figures?: Figures;
  /** Why there are none. */
  error?: string;
}

/** System → why it cannot be measured. */
type Missing = Record<string, string>;

export interface Measured {
  missing: Missing;
  measurements: Measurement[];
}

/** Every workload on one system after the other, and so on: what the machine does meanwhile comes over all of them. */
export async function measureInTurns(
  server: BenchServer,
  { turns, workloads, systems, quick }: BenchCommand,
  { note, signal }: { note(line: string): void; signal: AbortSignal },
): Promise<Measured> {
  const missing: Missing = {};
  const measurements: Measurement[] = [];
  for (const system of systems) {
    const reason = await setUp(server, system);
    signal.throwIfAborted();
    if (reason === undefined) continue;
    missing[system.name] = inShort(reason);
    note(`${system.name} is missing: ${missing[system.name]}`);
  }
  const present = systems.filter(({ name }) => !(name in missing));

  for (let turn = 1; turn <= turns; turn += 1) {
    for (const workload of workloads) {
      // Nobody is always the first.
      for (const system of rotate(present, turn - 1)) {
        signal.throwIfAborted();
        if (!workload.systems.includes(system.name)) continue;
        const begun = performance.now();
        const of = { turn, workload: workload.name, system: system.name };
        const measurement = await workload
          .measure({ server, system, template: templateOf(system), quick })
          .then((figures) => ({ ...of, figures }))
          .catch((error: Error) => ({ ...of, error: inShort(error.message) }));
        signal.throwIfAborted();
        measurements.push(measurement);
        const took = `${((performance.now() - begun) / 1_000).toFixed(0)} s`;
        const what = 'error' in measurement ? `✗ ${measurement.error}` : summarize(measurement.figures, workload.shown);
        note(`${turn} of ${turns}, ${workload.name}, ${system.name}: ${what} (${took})`);
      }
    }
  }
  return { missing, measurements };
}

async function setUp(server: BenchServer, system: System): Promise<string | undefined> {
  try {
    await system.install?.();
    await system.setUp(await server.createDatabase(templateOf(system)));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** What a process wrote before it died can be long. */
function inShort(message: string): string {
  return message.length > 1_000 ? `${message.slice(0, 1_000)} …` : message;
}

function templateOf({ name }: System): string {
  return `bench_template_${name.replace('-', '_')}`;
}

function rotate<T>(all: readonly T[], by: number): T[] {
  const start = all.length === 0 ? 0 : by % all.length;
  return [...all.slice(start), ...all.slice(0, start)];
}

function summarize(figures: Figures, shown: readonly string[]): string {
  return shown
    .filter((name) => name in figures)
    .slice(0, 3)
    .map((name) => `${name} ${Number(figures[name]!.toPrecision(3))}`)
    .join(', ');
}
