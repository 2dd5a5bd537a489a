import type { World } from '@workflow/world';
import type { Pool } from 'pg';
import type { HandedOver } from '../queue/handle-run-job.ts';
import type { WorldConfig } from '../config/config.ts';
import type { UnfinishedRun } from '../postgres/unfinished-runs.ts';

/** The World of this process, and what is around it. */
export interface RunningWorld {
  world: World;
  config: WorldConfig;
  /** Its connections, for SQL beside the World's. */
  pool: Pool;
  /** Milliseconds since 1970 by the database's clock, which all times of runs are taken from. */
  now(): number;
  /** Function name → what `start()` takes; where two files have one name, `file.ts#name`. */
  workflows: Record<string, { workflowId: string }>;
  /** What a replay depends on; see src/compile. */
  codeVersion: string;
  /** Which runs this process begins; see "Deployments" in docs/ARCHITECTURE.md. */
  deploymentId: string;
  /** Whether this process works on the runs of that deployment. */
  takes(deploymentId: string): boolean;
  /** The runs of this job prefix that have not ended, oldest first. */
  findUnfinishedRuns(): Promise<UnfinishedRun[]>;
  /** Drives the run of one job, and nothing else; see src/isolation. */
  driveOne(handedOver: Omit<HandedOver, 'letGo'>, onHeld: () => void, stopping: AbortSignal): Promise<void>;
  isHealthy(): boolean;
  /** Fires when it begins to stop. */
  stopping: AbortSignal;
  stop(): Promise<void>;
}

/** On `globalThis`, because under tsx a module exists twice once it was both imported and required. */
const CURRENT = Symbol.for('postgres-world/current');
const registry = globalThis as typeof globalThis & { [CURRENT]?: RunningWorld };

export function setCurrent(current: RunningWorld | undefined): void {
  registry[CURRENT] = current;
}

export function getCurrent(): RunningWorld | undefined {
  return registry[CURRENT];
}

/**
 * Also what the runtime calls in our own processes, which point WORKFLOW_TARGET_WORLD at this file:
 * to require world-config.ts under tsx would load all of it a second time (0.6 s).
 * @throws Error before a World was initialized
 */
export default function currentWorld(): World {
  const current = getCurrent();
  if (!current) throw new Error('The World is not initialized: call initializeWorld() of world-config.ts first.');
  return current.world;
}
