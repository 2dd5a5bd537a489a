export interface News {
  /** Something happened. Remembered until the next `wait`. */
  announce(): void;
  /** Resolves at the next announcement (true), or after `timeoutMs` (false). For one waiter at a time. */
  wait(timeoutMs: number): Promise<boolean>;
}

/** A latch between something that happens and a loop that looks: nothing that is announced while the loop is busy is slept over. */
export function createNews(): News {
  let pending = false;
  let wake = () => {};
  return {
    announce() {
      pending = true;
      wake();
    },
    async wait(timeoutMs) {
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
      return announced;
    },
  };
}
