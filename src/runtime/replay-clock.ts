import { isReplaying } from './scope.ts';

/**
 * Gives the runtime the database's clock while it replays, by way of `Date.now()`: it adds durations to
 * what that says to know when a sleep ends, and compares it with what other workers have written (vercel/workflow #2714).
 * Nothing is changed for anybody else: no code of a user runs in a replay on this side of its VM.
 *
 * Rejected: to translate the times of the log at the World's border. `sleep('3s')` arrives there as
 * `sleep(new Date(…))` does, and only one of the two comes from the clock of this process.
 * @returns what ends it
 */
export function replayBy(now: () => number): Disposable {
  const ofProcess = Date.now;
  Date.now = () => (isReplaying() ? now() : ofProcess());
  return {
    [Symbol.dispose]: () => {
      Date.now = ofProcess;
    },
  };
}
