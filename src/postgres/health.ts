const PING_INTERVAL_MS = 500;
const FRESH_MS = 2_000;

export interface HealthCheck extends Disposable {
  /** Whether the database answered within the last two seconds. */
  readonly healthy: boolean;
}

/** @param ask has the database answer something */
export function startHealthCheck(ask: () => Promise<void>): HealthCheck {
  let lastAnswer = -Infinity;
  let pinging = false;
  const ping = async () => {
    if (pinging) return;
    pinging = true;
    await ask().then(
      () => (lastAnswer = performance.now()),
      () => undefined,
    );
    pinging = false;
  };
  void ping();
  const timer = setInterval(() => void ping(), PING_INTERVAL_MS);
  return {
    get healthy() {
      return performance.now() - lastAnswer < FRESH_MS;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
