export interface Slots {
  /** Takes one if there is one. */
  tryTake(): boolean;
  /** Takes one, in turn with whoever waits; false if there was none within `patienceMs`. */
  take(patienceMs?: number): Promise<boolean>;
  /**
   * Takes one, and all others that are free, for what `find` finds, at most as much as it is told, and gives
   * back what it does not need. Finds nothing if there was none within `patienceMs`.
   */
  fill<T>(patienceMs: number, find: (count: number) => Promise<T[]>): Promise<T[]>;
  /** Resolves when so many are free, or after `patienceMs`. */
  several(count: number, patienceMs: number): Promise<void>;
  /** Does something in one, however long that takes to get. What takes longer than `patienceMs` goes on without. */
  use<T>(patienceMs: number, work: () => Promise<T>): Promise<T>;
  /** Gives one back. */
  give(): void;
}

/** How many things of a kind this process does at once. */
export function createSlots(count: number): Slots {
  const waiting: (() => void)[] = [];
  const watching = new Set<{ count: number; enough(): void }>();
  let free = count;

  const tryTake = () => {
    if (free === 0) return false;
    free -= 1;
    return true;
  };

  const take: Slots['take'] = (patienceMs) => {
    if (tryTake()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const begin = () => {
        clearTimeout(timer);
        resolve(true);
      };
      const leave = () => {
        waiting.splice(waiting.indexOf(begin), 1);
        resolve(false);
      };
      const timer = patienceMs === undefined ? undefined : setTimeout(leave, patienceMs);
      waiting.push(begin);
    });
  };

  const give = () => {
    const begin = waiting.shift();
    if (begin) return begin();
    free += 1;
    for (const watcher of watching) if (free >= watcher.count) watcher.enough();
  };

  return {
    tryTake,
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
    several(wanted, patienceMs) {
      if (free >= wanted) return Promise.resolve();
      return new Promise((resolve) => {
        const enough = () => {
          clearTimeout(timer);
          watching.delete(watcher);
          resolve();
        };
        const watcher = { count: wanted, enough };
        const timer = setTimeout(enough, patienceMs);
        watching.add(watcher);
      });
    },
    async use(patienceMs, work) {
      await take();
      let isTaken = true;
      const giveBack = () => {
        if (isTaken) give();
        isTaken = false;
      };
      const timer = setTimeout(giveBack, patienceMs);
      try {
        return await work();
      } finally {
        clearTimeout(timer);
        giveBack();
      }
    },
    give,
  };
}
