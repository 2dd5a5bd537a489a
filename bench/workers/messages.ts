/** What a worker is asked: the name of one of its commands. */
export interface Question {
  id: number;
  name: string;
  args: unknown[];
}

export type Message =
  | { ready: true }
  /** Steps that have run since the last message, and when the last one of them did, in ms of `now()`. */
  | { steps: number; lastAt: number }
  | { id: number; value?: unknown; error?: string };

/** Milliseconds on a clock that all processes of this machine share, and that nobody sets. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
