export interface News {
  /** Something happened. Remembered until the next `wait`. */
  announce(): void;
  /** What was announced was there: see {@link NewsOptions}. */
  found(): void;
  /** Resolves at the next announcement (true), or after `timeoutMs` (false). For one waiter at a time. */
  wait(timeoutMs: number): Promise<boolean>;
}

export interface NewsOptions {
  /**
   * After so many announcements in a row of which nothing was found, it rests before the next: anybody who may
   * connect to the database can announce what is not there, thousands of times a second. By default, it never does.
   */
  mostInVain?: number;
}

const REST_MS = 50;

/** As many as a process may hear when others are quicker. */
export const MOST_IN_VAIN = 20;

/** A latch between something that happens and a loop that looks: nothing that is announced while the loop is busy is slept over. */
export function createNews({ mostInVain = Infinity }: NewsOptions = {}): News {
  let pending = false;
  let inVain = 0;
  let wake = () => {};
  return {
    announce() {
      pending = true;
      wake();
    },
    found() {
      inVain = 0;
    },
    async wait(timeoutMs) {
      if (inVain >= mostInVain) await new Promise((resolve) => setTimeout(resolve, REST_MS));
      if (!pending) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      const announced = pending;
      pending = false;
      inVain = announced ? inVain + 1 : 0;
      return announced;
    },
  };
}
