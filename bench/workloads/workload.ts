import type { BenchServer } from '../setting/server.ts';
import type { Usage } from '../setting/usage.ts';
import type { System, SystemName } from '../systems/system.ts';

/** What was measured: name and unit in one word → value. */
export type Figures = Record<string, number>;

export interface Situation {
  server: BenchServer;
  system: System;
  /** A database that the system was set up in. */
  template: string;
  /** Small sizes: to see that it works. */
  quick: boolean;
}

export interface Workload {
  name: string;
  title: string;
  systems: readonly SystemName[];
  /** The figures of the table; the others are in results.json. */
  shown: readonly string[];
  measure(situation: Situation): Promise<Figures>;
}

/** Costs as figures. */
export function perStep(usage: Usage, steps: number): Figures {
  const { cpuWorkerMs, cpuServerMs, transactions, walBytes } = usage;
  return {
    transactionsPerStep: transactions / steps,
    walBytesPerStep: walBytes / steps,
    ...(cpuWorkerMs !== undefined &&
      cpuServerMs !== undefined && {
        cpuMsPerStep: (cpuWorkerMs + cpuServerMs) / steps,
        cpuWorkerMsPerStep: cpuWorkerMs / steps,
        cpuServerMsPerStep: cpuServerMs / steps,
      }),
  };
}
