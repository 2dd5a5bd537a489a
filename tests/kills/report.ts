import type { Blow, Measurement } from './measure.ts';

/** What is promised; see docs/DURABILITY.md. */
const BOUNDS_MS: Record<Blow, { median: number; max: number }> = {
  killed: { median: 2_000, max: 5_000 },
  hung: { median: 20_000, max: 20_000 },
  'cut off': { median: 20_000, max: 20_000 },
};

export interface KillsReport {
  seed: number;
  measurements: Measurement[];
  /** Bounds that are broken, and steps that ran again. Empty: all is well. */
  violations: string[];
}

export function createReport(seed: number, measurements: Measurement[]): KillsReport {
  const broken = [...Map.groupBy(measurements, ({ blow }) => blow)].flatMap(([blow, ofBlow]) => {
    const { median, max } = summarize(ofBlow);
    const bounds = BOUNDS_MS[blow];
    return [
      ...(median > bounds.median ? [`${blow}: the median is ${seconds(median)}, not ${seconds(bounds.median)}`] : []),
      ...(max > bounds.max ? [`${blow}: the last one went on after ${seconds(max)}, not ${seconds(bounds.max)}`] : []),
    ];
  });
  return { seed, measurements, violations: [...broken, ...measurements.flatMap((it) => it.violations)] };
}

export function describeReport({ seed, measurements, violations }: KillsReport): string {
  const rowOf = (title: string, of: readonly Measurement[]) => {
    const { median, max } = summarize(of);
    const repeated = of.reduce((sum, it) => sum + it.repeated, 0);
    return [title, String(of.length), seconds(median), seconds(max), String(repeated)];
  };
  const rows = [
    ['situation', 'times', 'median', 'max', 'steps run again'],
    ...[...Map.groupBy(measurements, titleOf)].map(([title, of]) => rowOf(title, of)),
    ...[...Map.groupBy(measurements, ({ blow }) => blow)].map(([blow, of]) => rowOf(`${blow}, all together`, of)),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const table = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  const { killed, hung } = BOUNDS_MS;
  const promised = `Promised: killed, median ${seconds(killed.median)} and at most ${seconds(killed.max)}; hung or cut off, at most ${seconds(hung.max)}.`;
  const verdict = violations.length === 0 ? ['✓ kept'] : violations.map((violation) => `✗ ${violation}`);
  return [...table, '', promised, ...verdict, `Once more with the same moments: --seed ${seed}`].join('\n');
}

function titleOf({ blow, situation, survivors }: Measurement): string {
  return `${blow} ${situation}, ${survivors === 1 ? 'one worker left' : 'several left'}`;
}

function summarize(measurements: readonly Measurement[]): { median: number; max: number } {
  const sorted = measurements.map(({ latencyMs }) => latencyMs).toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)]!, sorted[Math.floor(sorted.length / 2)]!];
  return { median: (low + high) / 2, max: sorted.at(-1)! };
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}
