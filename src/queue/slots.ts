export interface Slots {
  /** Takes one if there is one. */
  tryTake(): boolean;
  /** Takes all that are free, and says how many. */
  takeAll(): number;
  /** Gives back slots that were not used after all: nobody needs to look again for that. */
  putBack(count: number): void;
  /** Gives back the slot of something that has ended. */
  give(): void;
  /** Called whenever something has ended. */
  onFree(callback: () => void): void;
}

/** How many things of a kind this process does at once. */
export function createSlots(count: number): Slots {
  const callbacks: (() => void)[] = [];
  let free = count;
  return {
    tryTake() {
      if (free === 0) return false;
      free -= 1;
      return true;
    },
    takeAll() {
      const taken = free;
      free = 0;
      return taken;
    },
    putBack(unused) {
      free += unused;
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
