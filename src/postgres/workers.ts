import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { every } from '../health/every.ts';
import type { Health, Trouble } from '../health/health.ts';
import type { DatabaseClock } from './database-clock.ts';
import type { Session } from './session.ts';

const SIGN_OF_LIFE_MS = 5_000;
/** How long a worker that was not seen counts as alive. */
const ALIVE_SECONDS = 15;
const FORGOTTEN_AFTER = '1 day';
const LEAVE_PATIENCE_MS = 1_000;

export interface WorkerEntry {
  host: string;
  pid: number;
  /** Whose runs it takes. */
  deployments: string[];
  /** Steps at once. */
  concurrency: number;
  startedAt: Date;
  /** What it cannot do at the moment. */
  troubles: WorkerTrouble[];
}

/** Since when it fails, by the clock of the database. */
type WorkerTrouble = Omit<Trouble, 'forMs'> & { since: string };

/** The workers of a job prefix that gave a sign of life in the last 15 s, oldest first. */
export async function findWorkers(pool: Pool, jobPrefix: string): Promise<WorkerEntry[]> {
  const { rows } = await pool.query<WorkerEntry>(
    `SELECT host, pid, deployments, concurrency, started_at AS "startedAt", troubles FROM workflow_engine.workers
     WHERE job_prefix = $1 AND deployments <> '{}' AND seen_at > now() - make_interval(secs => $2) ORDER BY started_at`,
    [jobPrefix, ALIVE_SECONDS],
  );
  return rows;
}

/** What the youngest worker takes, for a process without code of its own: the health check of `workflow web`. */
export async function findServedDeployment(pool: Pool, jobPrefix: string): Promise<string | undefined> {
  return (await findWorkers(pool, jobPrefix)).at(-1)?.deployments[0];
}

interface WorkerOptions {
  jobPrefix: string;
  /** None: it takes nothing by itself, and is listed for the sweep only. */
  deploymentIds: readonly string[];
  concurrency: number;
  health: Health;
  clock: Pick<DatabaseClock, 'now'>;
  /** Where its locks are, if it can have any. */
  session: Session | undefined;
}

/**
 * Lists this process among the workers until it is disposed. For people who look; and the sweep takes
 * nobody's job for want of a lock while there is a worker that cannot lock.
 */
export async function registerWorker(pool: Pool, options: WorkerOptions): Promise<AsyncDisposable> {
  const { jobPrefix, deploymentIds, concurrency, health, clock, session } = options;
  const id = randomUUID();
  const signOfLife = () => {
    const troubles = health.troubles.map(({ forMs, ...it }): WorkerTrouble => ({
      ...it,
      since: new Date(clock.now() - forMs).toISOString(),
    }));
    const locks = session?.isOpen ?? false;
    return pool.query(
      `INSERT INTO workflow_engine.workers (id, job_prefix, deployments, concurrency, host, pid, locks, troubles)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET seen_at = now(), locks = $7, troubles = $8`,
      [id, jobPrefix, deploymentIds, concurrency, hostname(), process.pid, locks, JSON.stringify(troubles)],
    );
  };
  await pool.query('DELETE FROM workflow_engine.workers WHERE seen_at < now() - $1::interval', [FORGOTTEN_AFTER]);
  await signOfLife();
  const giving = every(SIGN_OF_LIFE_MS, health.of('The sign of life'), signOfLife);
  const stopWatching = session?.onChange(() => void giving.again());
  const leave = async () => {
    await giving.stop();
    await pool.query('DELETE FROM workflow_engine.workers WHERE id = $1', [id]);
  };
  return {
    async [Symbol.asyncDispose]() {
      stopWatching?.();
      await Promise.race([leave().catch(() => undefined), delay(LEAVE_PATIENCE_MS, undefined, { ref: false })]);
    },
  };
}
