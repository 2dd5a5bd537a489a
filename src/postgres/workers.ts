import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
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
}

/** The workers of a job prefix that gave a sign of life in the last 15 s, oldest first. */
export async function findWorkers(pool: Pool, jobPrefix: string): Promise<WorkerEntry[]> {
  const { rows } = await pool.query<WorkerEntry>(
    `SELECT host, pid, deployments, concurrency, started_at AS "startedAt" FROM workflow_engine.workers
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
  /** Where its locks are, if it can have any. */
  session: Session | undefined;
}

/**
 * Lists this process among the workers until it is disposed. For people who look; and the sweep takes
 * nobody's job for want of a lock while there is a worker that cannot lock.
 */
export async function registerWorker(pool: Pool, options: WorkerOptions): Promise<AsyncDisposable> {
  const { jobPrefix, deploymentIds, concurrency, session } = options;
  const id = randomUUID();
  const signOfLife = () =>
    pool.query(
      `INSERT INTO workflow_engine.workers (id, job_prefix, deployments, concurrency, host, pid, locks)
       VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET seen_at = now(), locks = $7`,
      [id, jobPrefix, deploymentIds, concurrency, hostname(), process.pid, session?.isOpen ?? false],
    );
  await pool.query('DELETE FROM workflow_engine.workers WHERE seen_at < now() - $1::interval', [FORGOTTEN_AFTER]);
  await signOfLife();
  let giving: Promise<unknown> | undefined;
  const give = () => {
    // One at a time. A sign that failed is made up for by the next.
    giving ??= signOfLife()
      .catch(() => undefined)
      .finally(() => (giving = undefined));
  };
  const timer = setInterval(give, SIGN_OF_LIFE_MS);
  const stopWatching = session?.onChange(() => void (giving ?? Promise.resolve()).then(give));
  const leave = async () => {
    await giving;
    await pool.query('DELETE FROM workflow_engine.workers WHERE id = $1', [id]);
  };
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      stopWatching?.();
      await Promise.race([leave().catch(() => undefined), delay(LEAVE_PATIENCE_MS, undefined, { ref: false })]);
    },
  };
}
