import type { Measurement } from '../turns.ts';
import type { Figures } from '../workloads/workload.ts';
import { median } from './statistics.ts';

/** What the figures of a system are set in relation to. */
const REFERENCES = ['floor', 'stock'] as const;

/** Workload → system → figures. */
type Medians = Record<string, Record<string, Figures>>;

export interface Summary {
  medians: Medians;
  /** The same, as multiples of the figure that the floor, and stock, had in the same turn: their medians. */
  ratios: Record<(typeof REFERENCES)[number], Medians>;
}

export function summarize(measurements: readonly Measurement[]): Summary {
  const ratiosTo = (reference: string) =>
    collect(
      measurements.map((measurement) => {
        const { turn, workload, figures = {} } = measurement;
        const base = measurements.find(
          (it) => it.turn === turn && it.workload === workload && it.system === reference,
        )?.figures;
        const shared = Object.entries(figures).filter(([name]) => base?.[name]);
        return { ...measurement, figures: Object.fromEntries(shared.map(([name, it]) => [name, it / base![name]!])) };
      }),
    );
  return { medians: collect(measurements), ratios: { floor: ratiosTo('floor'), stock: ratiosTo('stock') } };
}

/** The median of each figure over the turns. */
function collect(measurements: readonly Measurement[]): Medians {
  const medians: Medians = {};
  for (const [workload, ofWorkload] of Map.groupBy(measurements, (it) => it.workload)) {
    for (const [system, ofSystem] of Map.groupBy(ofWorkload, (it) => it.system)) {
      const turns = ofSystem.flatMap(({ figures }) => (figures ? [figures] : []));
      const names = new Set(turns.flatMap((figures) => Object.keys(figures)));
      const pairs = [...names].map((name) => {
        const values = turns.map((figures) => figures[name]).filter((value) => value !== undefined);
        return [name, median(values)] as const;
      });
      (medians[workload] ??= {})[system] = Object.fromEntries(pairs);
    }
  }
  return medians;
}
