import type { Pool } from 'pg';

const PING_INTERVAL_MS = 500;
const FRESH_MS = 2_000;

export interface HealthCheck extends Disposable {
  /** Whether the database answered within the last two seconds. */
  readonly healthy: boolean;
}

export function startHealthCheck(pool: Pool): HealthCheck {
  let lastAnswer = 0;
  let pinging = false;
  const ping = async () => {
    if (pinging) return;
    pinging = true;
    await pool.query('SELECT 1').then(
      () => (lastAnswer = Date.now()),
      () => undefined,
    );
    pinging = false;
  };
  void ping();
  const timer = setInterval(() => void ping(), PING_INTERVAL_MS);
  return {
    get healthy() {
      return Date.now() - lastAnswer < FRESH_MS;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
