import type { World } from '@workflow/world';

/**
 * The World of this process. On `globalThis`, because under tsx a module exists twice once it was
 * both imported (by us) and required (by the runtime, which loads WORKFLOW_TARGET_WORLD that way).
 */
const CURRENT = Symbol.for('postgres-world/current');
const registry = globalThis as typeof globalThis & { [CURRENT]?: unknown };

export function setCurrent<T extends { world: World }>(current: T | undefined): void {
  registry[CURRENT] = current;
}

export function getCurrent<T extends { world: World }>(): T | undefined {
  return registry[CURRENT] as T | undefined;
}

/** @throws Error before a World was initialized */
export function currentWorld(): World {
  const current = getCurrent();
  if (!current) throw new Error('The World is not initialized: call initializeWorld() of world-config.ts first.');
  return current.world;
}
