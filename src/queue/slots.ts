export interface Slots {
  /** Takes one, in turn with whoever waits; false if there was none within `patienceMs`. */
  take(patienceMs: number): Promise<boolean>;
  /**
   * Takes one, and all others that are free, for what `find` finds, at most as much as it is told, and gives
   * back what it does not need. Finds nothing if there was none within `patienceMs`.
   */
  fill<T>(patienceMs: number, find: (count: number) => Promise<T[]>): Promise<T[]>;
  /** Does something in one, however long that takes to get. */
  use<T>(work: () => Promise<T>): Promise<T>;
  /** Gives one back. */
  give(): void;
}

const LOOK_AGAIN_MS = 60_000;

/** How many things of a kind this process does at once. */
export function createSlots(count: number): Slots {
  const waiting: (() => void)[] = [];
  let free = count;

  const take: Slots['take'] = (patienceMs) => {
    if (free > 0) {
      free -= 1;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const begin = () => {
        clearTimeout(timer);
        resolve(true);
      };
      const leave = () => {
        waiting.splice(waiting.indexOf(begin), 1);
        resolve(false);
      };
      const timer = setTimeout(leave, patienceMs);
      waiting.push(begin);
    });
  };

  const give = () => {
    const begin = waiting.shift();
    if (begin) begin();
    else free += 1;
  };

  return {
    take,
    async fill(patienceMs, find) {
      if (!(await take(patienceMs))) return [];
      const reserved = 1 + free;
      free = 0;
      let used = 0;
      try {
        const found = await find(reserved);
        used = found.length;
        return found;
      } finally {
        for (let n = used; n < reserved; n += 1) give();
      }
    },
    async use(work) {
      while (!(await take(LOOK_AGAIN_MS)));
      try {
        return await work();
      } finally {
        give();
      }
    },
    give,
  };
}
