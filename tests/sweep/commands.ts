/** How long a stream may be silent before it counts as one without an end. */
export const READ_PATIENCE_MS = 5_000;

/** What a worker of the sweep can be told to do. */
export interface Commands {
  /** Starts a run with a hook of this token, and dies before the k-th statement from now on; 0: never. */
  start(token: string, dieBefore: number): Promise<string>;
  resume(token: string): Promise<void>;
  result(runId: string): Promise<unknown>;
  /** A stream of a run, from its beginning. */
  read(runId: string, namespace?: string): Promise<unknown[]>;
  /** Those since the last start; ends the counting. */
  statements(): Promise<string[]>;
}

export interface Command {
  id: number;
  name: keyof Commands;
  args: unknown[];
}
