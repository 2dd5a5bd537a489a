export interface Slots {
  /** Takes one if there is one, or one that is left over of those that are just being filled. */
  take(): Promise<boolean>;
  /** Takes all that are free for what `find` finds, at most as much as it is told, and gives the others back. */
  fill<T>(find: (count: number) => Promise<T[]>): Promise<T[]>;
  /** Gives back the slot of something that has ended. */
  give(): void;
  /** Called whenever something has ended. */
  onFree(callback: () => void): void;
}

/** How many things of a kind this process does at once. */
export function createSlots(count: number): Slots {
  const callbacks: (() => void)[] = [];
  const waiting: ((taken: boolean) => void)[] = [];
  let free = count;
  let filling = false;

  const tryTake = () => {
    if (free === 0) return false;
    free -= 1;
    return true;
  };

  return {
    take: () => (free === 0 && filling ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(tryTake())),

    async fill(find) {
      const reserved = free;
      if (reserved === 0) return [];
      free = 0;
      filling = true;
      let used = 0;
      try {
        const found = await find(reserved);
        used = found.length;
        return found;
      } finally {
        filling = false;
        free += reserved - used;
        for (const resolve of waiting.splice(0)) resolve(tryTake());
      }
    },

    give() {
      free += 1;
      for (const callback of callbacks) callback();
    },

    onFree(callback) {
      callbacks.push(callback);
    },
  };
}
