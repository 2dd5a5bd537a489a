/** A living worker that lost its session has its locks again by then; a message that follows an event has been sent. */
const SEEN_AGAIN_AFTER_MS = 400;

/**
 * Tells what somebody who looks again and again has found for a while, and not only at this moment: what was in
 * between two of its transactions is past them by then.
 * @param keyOf two things with the same key are the same
 * @returns filters what one look has found
 */
export function createSeenAgain<T>(keyOf: (thing: T) => string): (found: readonly T[]) => T[] {
  let firstSeen = new Map<string, number>();
  return (found) => {
    const now = performance.now();
    const before = firstSeen;
    firstSeen = new Map(found.map((thing) => [keyOf(thing), before.get(keyOf(thing)) ?? now]));
    return found.filter((thing) => now - firstSeen.get(keyOf(thing))! >= SEEN_AGAIN_AFTER_MS);
  };
}
