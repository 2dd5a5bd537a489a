/**
 * `Promise.all` of two that waits for both before it rejects: what the one has opened by then can be
 * closed, though the other failed first.
 */
export async function settleBoth<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return [await first, await second];
}
