import type { ClientBase, Pool } from 'pg';
import type { Lease } from '../runtime/scope.ts';

export interface RunSeed {
  jobPrefix: string;
  deploymentId: string;
  workflowName: string;
}

export interface LockedRun {
  /** ULID, without the prefix `wevt_`. */
  lastEventId: string | undefined;
}

/** Adds the run's row unless it is there. */
export async function seedRun(client: ClientBase, runId: string, seed: RunSeed): Promise<void> {
  await client.query(
    `INSERT INTO workflow_engine.run_progress (run_id, job_prefix, deployment_id, workflow_name)
     VALUES ($1, $2, $3, $4) ON CONFLICT (run_id) DO NOTHING`,
    [runId, seed.jobPrefix, seed.deploymentId, seed.workflowName],
  );
}

/** Locks the run's row until the transaction ends: events of one run come one after the other. */
export async function lockRun(client: ClientBase, runId: string): Promise<LockedRun | undefined> {
  const { rows } = await client.query<{ last_event_id: string | null }>(
    'SELECT last_event_id FROM workflow_engine.run_progress WHERE run_id = $1 FOR UPDATE',
    [runId],
  );
  return rows[0] && { lastEventId: rows[0].last_event_id ?? undefined };
}

/**
 * Whether the lease is held; if so, it cannot be lost before the transaction ends. After
 * {@link lockRun}: the row before the job, everywhere, so that there is no deadlock.
 */
export async function lockLease(client: ClientBase, queueSchema: string, lease: Lease): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM ${queueSchema}.job WHERE name = $1 AND id = $2 AND retry_count = $3 AND state = 'active' FOR SHARE`,
    [lease.queue, lease.jobId, lease.retryCount],
  );
  return rowCount === 1;
}

/** Notes the events that the open transaction wrote; `wakes` says whether a replay can observe one. */
export async function recordEvents(client: ClientBase, runId: string, lastEventId: string, wakes: boolean) {
  await client.query(
    `UPDATE workflow_engine.run_progress SET wake_seq = wake_seq + $2, last_event_id = $3 WHERE run_id = $1`,
    [runId, wakes ? 1 : 0, lastEventId],
  );
}

/** The run's `wake_seq`; 0 for a run that does not exist yet. */
export async function readWakeSeq(
  client: ClientBase | Pool,
  runId: string,
  lock: '' | 'FOR UPDATE' = '',
): Promise<number> {
  const { rows } = await client.query<{ wake_seq: number }>(
    `SELECT wake_seq FROM workflow_engine.run_progress WHERE run_id = $1 ${lock}`,
    [runId],
  );
  return rows[0]?.wake_seq ?? 0;
}

/** How a run is left when there is nothing to do for it now. */
export interface Parking {
  /** The `wake_seq` that the driver has seen. */
  seenSeq: number;
  /** Until the run's next timer. */
  delaySeconds: number | undefined;
  /** Whether it waits for steps that are in their queue. */
  awaitsSteps: boolean;
}

export async function recordPark(
  client: ClientBase,
  runId: string,
  { seenSeq, delaySeconds, awaitsSteps }: Parking,
): Promise<void> {
  await client.query(
    `UPDATE workflow_engine.run_progress
     SET seen_seq = $2, due_at = now() + make_interval(secs => $3), awaits_steps = $4 WHERE run_id = $1`,
    [runId, seenSeq, delaySeconds ?? null, awaitsSteps],
  );
}

/** Where the run's jobs go. */
export async function readDeployment(pool: Pool, runId: string): Promise<RunSeed | undefined> {
  const { rows } = await pool.query<RunSeed>(
    `SELECT job_prefix AS "jobPrefix", deployment_id AS "deploymentId", workflow_name AS "workflowName"
     FROM workflow_engine.run_progress WHERE run_id = $1`,
    [runId],
  );
  return rows[0];
}
