import type { WorldConfig } from '../config/config.ts';
import type { HandedOver } from '../queue/handle-run-job.ts';

/** What the process that has nothing but one run is told, once. */
export interface Assignment {
  config: Omit<WorldConfig, 'log'>;
  handedOver: Omit<HandedOver, 'letGo'>;
}

/** What it tells. */
export type FromIsolated = { kind: 'held' } | { kind: 'log'; line: string };
