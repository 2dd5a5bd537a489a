import { setTimeout as delay } from 'node:timers/promises';

/** Waits for a state; the time is only there to end a test that will never see it. */
export async function until<T>(
  what: string,
  look: () => Promise<T> | T,
  timeoutMs = 90_000,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen) return seen as Exclude<T, false | null | undefined>;
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain until ${what}`);
    await delay(50);
  }
}
