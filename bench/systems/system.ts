export type SystemName = 'floor' | 'ours' | 'stock' | 'dbos' | 'dbos-queue';

/** What is measured. */
export interface System {
  name: SystemName;
  title: string;
  /** Brings the package from npm, where it is not there. @throws Error: why it cannot be had */
  install?(): Promise<void>;
  /** Brings an empty database to what its workers need. */
  setUp(url: string): Promise<void>;
  /** The module of its worker processes, and variables for them. */
  worker: string;
  env?: Record<string, string>;
  /** `$1`: runs → how many of them there are in each `status`. */
  statuses: string;
  completed: string;
  /** Of the tables that its messages are rows of: a condition on pg_stat_user_tables. */
  jobTables?: string;
}

/** The module of a worker. */
export function workerFile(name: string): string {
  return new URL(`../workers/${name}.ts`, import.meta.url).pathname;
}
