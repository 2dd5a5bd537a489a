import { alignColumns } from '../../src/cli/format.ts';
import type { BenchCommand } from '../arguments.ts';
import type { Measured } from '../turns.ts';
import type { Workload } from '../workloads/workload.ts';
import type { Summary } from './summary.ts';

/** For each workload a table: a line per figure, a column per system. */
export function describe(
  { workloads, systems }: BenchCommand,
  summary: Summary,
  { missing, measurements }: Measured,
): string {
  const columns = systems.map(({ name }) => name);
  const gone = Object.entries(missing).map(([name, reason]) => `${name} is missing: ${reason}`);
  const failed = measurements.flatMap(({ turn, workload, system, error }) =>
    error === undefined ? [] : [`${workload} on ${system}, turn ${turn}: ✗ ${error}`],
  );
  return [...workloads.map((it) => tableOf(it, columns, summary)), ...gone, ...failed].join('\n');
}

function tableOf({ name, title, shown }: Workload, columns: readonly string[], { medians, ratios }: Summary): string {
  const rows = shown.flatMap((figure) => {
    const values = columns.map((system) => medians[name]?.[system]?.[figure]);
    if (values.every((value) => value === undefined)) return [];
    const cells = columns.map((system, n) => {
      if (values[n] === undefined) return '–';
      const times = (['floor', 'stock'] as const).flatMap((reference) => {
        const ratio = ratios[reference][name]?.[system]?.[figure];
        return ratio === undefined || system === reference ? [] : [`${number(ratio)}× ${reference}`];
      });
      return `${number(values[n])}${times.length > 0 ? ` (${times.join(', ')})` : ''}`;
    });
    return [[figure, ...cells]];
  });
  return [`${name}: ${title}`, ...alignColumns([['', ...columns], ...rows], '  '), ''].join('\n');
}

function number(value: number): string {
  return value >= 1_000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
