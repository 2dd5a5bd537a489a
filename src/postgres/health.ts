import { every } from '../health/every.ts';
import type { Health } from '../health/health.ts';

const PING_INTERVAL_MS = 500;
const FRESH_MS = 2_000;

export interface HealthCheck extends Disposable {
  /** Whether the database answered within the last two seconds, and nothing has failed for ten. */
  readonly healthy: boolean;
}

/** @param ask has the database answer something; it just did */
export function startHealthCheck(ask: () => Promise<void>, health: Health): HealthCheck {
  let lastAnswer = performance.now();
  const pinging = every(PING_INTERVAL_MS, health.of('The health check'), async () => {
    await ask();
    lastAnswer = performance.now();
  });
  return {
    get healthy() {
      return performance.now() - lastAnswer < FRESH_MS && health.healthy;
    },
    [Symbol.dispose]: pinging[Symbol.dispose],
  };
}
