import { SPEC_VERSION_CURRENT, type World } from '@workflow/world';
import { createQueueHandler } from './handlers.ts';

const STORAGE = {
  runs: ['get', 'list'],
  steps: ['get', 'list'],
  hooks: ['get', 'getByToken', 'list'],
  events: ['create', 'get', 'list', 'listByCorrelationId'],
} as const;

const METHODS = [
  'getDeploymentId',
  'queue',
  'writeToStream',
  'writeToStreamMulti',
  'closeStream',
  'readFromStream',
  'listStreamsByRunId',
  'getStreamChunks',
  'getStreamInfo',
] as const;

type Methods = Record<string, (...args: unknown[]) => unknown>;

/**
 * A World that is initialized by its first use. The tools that load WORKFLOW_TARGET_WORLD
 * (`workflow inspect`, `workflow web`) want it at once, and a database takes time.
 */
export function createLazyWorld(initialize: () => Promise<World>, close: () => Promise<void>): World {
  const late = (name: string, choose: (world: World) => unknown) => [
    name,
    async (...args: unknown[]) => {
      const target = choose(await initialize()) as Methods;
      return target[name]?.(...args);
    },
  ];
  const storage = Object.entries(STORAGE).map(([entity, names]) => [
    entity,
    Object.fromEntries(names.map((name) => late(name, (world) => world[entity as keyof typeof STORAGE]))),
  ]);
  return {
    specVersion: SPEC_VERSION_CURRENT,
    createQueueHandler,
    close,
    ...Object.fromEntries(storage),
    ...Object.fromEntries(METHODS.map((name) => late(name, (world) => world))),
  } as World;
}
