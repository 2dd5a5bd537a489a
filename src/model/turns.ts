/** Turns that are taken in the order in which they were asked for. */
export interface Turns {
  /**
   * Waits for a turn. @returns gives it back; more than once does nothing
   * @throws Error if the signal fires before; its reason is the `cause`
   */
  take(signal: AbortSignal): Promise<() => void>;
  /** Whether nobody has a turn, or waits for one. */
  readonly idle: boolean;
}

/** @param limit how many may have one at a time, asked anew at each turn */
export function createTurns(limit: () => number): Turns {
  const waiting: (() => void)[] = [];
  let taken = 0;

  const next = () => {
    while (taken < limit() && waiting.length > 0) {
      taken += 1;
      waiting.shift()!();
    }
  };
  return {
    get idle() {
      return taken === 0 && waiting.length === 0;
    },
    take(signal) {
      return new Promise((resolve, reject) => {
        const whyNot = () => new Error('No turn is wanted any more.', { cause: signal.reason });
        const leave = () => {
          waiting.splice(waiting.indexOf(begin), 1);
          reject(whyNot());
        };
        const begin = () => {
          signal.removeEventListener('abort', leave);
          let isOurs = true;
          resolve(() => {
            if (!isOurs) return;
            isOurs = false;
            taken -= 1;
            next();
          });
        };
        if (signal.aborted) return reject(whyNot());
        signal.addEventListener('abort', leave, { once: true });
        waiting.push(begin);
        next();
      });
    },
  };
}
