import { constants } from 'node:os';

/** One Ctrl+C arrives more than once: from the terminal, and from npm and tsx, which pass it on. */
const SAME_KEY_MS = 1_000;

export interface StopHandlers {
  /** @param exitCode the shell's for a program that ends by this signal: 128 and its number */
  first(exitCode: number): void;
  /** The user is impatient. */
  again(exitCode: number): void;
}

/** Tells the first Ctrl+C or SIGTERM from one that is meant as a second one. */
export function onStopSignals(
  { first, again }: StopHandlers,
  names: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'],
): void {
  let stoppedAt: number | undefined;
  for (const name of names) {
    const exitCode = 128 + constants.signals[name];
    process.on(name, () => {
      if (stoppedAt === undefined) {
        stoppedAt = performance.now();
        first(exitCode);
      } else if (performance.now() - stoppedAt >= SAME_KEY_MS) {
        again(exitCode);
      }
    });
  }
}
