/**
 * Tells what somebody who looks again and again has found before, and not only at this moment: what was in
 * between two of its transactions is past them by then.
 * @param keyOf two things with the same key are the same
 * @param forMs for how long it must have been found by every look
 * @returns filters what one look has found
 */
export function createSeenAgain<T>(
  keyOf: (thing: T) => string,
  forMs: (thing: T) => number,
): (found: readonly T[]) => T[] {
  let firstSeen = new Map<string, number>();
  return (found) => {
    const now = performance.now();
    const before = firstSeen;
    firstSeen = new Map(found.map((thing) => [keyOf(thing), before.get(keyOf(thing)) ?? now]));
    return found.filter((thing) => now - firstSeen.get(keyOf(thing))! >= forMs(thing));
  };
}
