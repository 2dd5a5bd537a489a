import type { ClientBase, Pool } from 'pg';
import type { Lease } from '../runtime/scope.ts';
import { patiently } from './patiently.ts';

export interface RunSeed {
  jobPrefix: string;
  deploymentId: string;
  workflowName: string;
}

export interface LockedRun {
  /** ULID, without the prefix `wevt_`. */
  lastEventId: string | undefined;
  /** Whether it was only created. */
  isNew: boolean;
  /** The time of the transaction, by the clock of the database. */
  at: Date;
}

/** Locks the run's row until the transaction ends: events of one run come one after the other. */
export async function lockRun(client: ClientBase, runId: string): Promise<LockedRun | undefined> {
  const { rows } = await client.query<{ last_event_id: string | null; wake_seq: number; at: Date }>(
    'SELECT last_event_id, wake_seq, now() AS at FROM workflow_engine.run_progress WHERE run_id = $1 FOR UPDATE',
    [runId],
  );
  const [row] = rows;
  return row && { lastEventId: row.last_event_id ?? undefined, isNew: row.wake_seq <= 1, at: row.at };
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

interface WrittenEvents {
  /** The run's last id before them. */
  previous: string | undefined;
  ids: readonly string[];
  wakes: boolean;
  isResult: boolean;
}

/**
 * Notes the events that the open transaction wrote, in order. Their time is when the transaction
 * began, which may have been before the one that came first to the run's lock: then it becomes that
 * one's, because the clock of a workflow must not go back.
 * @param wakes whether a replay can observe one
 * @param isResult whether something that was executed has ended by itself: the deaths before it count no more
 * @returns the time that they got instead of their own
 */
export async function recordEvents(
  client: ClientBase,
  runId: string,
  { previous, ids, wakes, isResult }: WrittenEvents,
): Promise<Date | undefined> {
  const { rows } = await client.query<{ movedTo: Date | null }>(
    `WITH moved AS (
       UPDATE workflow.workflow_events event SET created_at = previous.created_at
       FROM workflow.workflow_events previous
       WHERE previous.id = 'wevt_' || $4 AND event.id = ANY ($5) AND event.created_at < previous.created_at
       RETURNING event.created_at
     )
     UPDATE workflow_engine.run_progress
     SET wake_seq = wake_seq + $2, last_event_id = $3, deaths = CASE WHEN $6 THEN 0 ELSE deaths END
     WHERE run_id = $1
     RETURNING (SELECT max(created_at) AT TIME ZONE 'UTC' FROM moved) AS "movedTo"`,
    [runId, wakes ? 1 : 0, ids.at(-1), previous ?? null, ids.map((id) => `wevt_${id}`), isResult],
  );
  return rows[0]?.movedTo ?? undefined;
}

export interface RunProgress {
  wakeSeq: number;
  /** ULID, without the prefix `wevt_`. */
  lastEventId: string | null;
  /** Whether the event that should be there is not: the server crashed before it had flushed it. */
  hasForgotten: boolean;
  /** Of holders of its lease, or of the job of one of its steps, since the last recorded result. */
  deaths: number;
}

/**
 * Zeros for a run that does not exist yet.
 * @param known the id of an event (without `wevt_`) that the log should have
 */
export async function readProgress(pool: Pool, runId: string, known?: string): Promise<RunProgress> {
  const { rows } = await pool.query<RunProgress>(
    `SELECT wake_seq AS "wakeSeq", deaths, last_event_id AS "lastEventId",
            $2::text IS NOT NULL AND NOT EXISTS (
              SELECT FROM workflow.workflow_events WHERE id = 'wevt_' || $2) AS "hasForgotten"
     FROM workflow_engine.run_progress WHERE run_id = $1`,
    [runId, known ?? null],
  );
  return rows[0] ?? { wakeSeq: 0, deaths: 0, lastEventId: null, hasForgotten: false };
}

/** How a run is left when there is nothing to do for it now. */
export interface Parking {
  /** The `wake_seq` that the driver has seen. */
  seenSeq: number;
  /** Until the run's next timer. */
  delaySeconds: number | undefined;
  /** Whether it waits for steps that are in their queue. */
  awaitsSteps: boolean;
  /** The last event that the driver knows (without `wevt_`). Should a crash have taken it, the number may lie. */
  known?: string | undefined;
}

/**
 * Writes down how a run is left, in the open transaction, which has its row from then on.
 * @returns false if there is something that the driver has not seen
 */
export async function recordPark(
  client: ClientBase,
  runId: string,
  { seenSeq, delaySeconds, awaitsSteps, known }: Parking,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE workflow_engine.run_progress
     SET seen_seq = $2, due_at = now() + make_interval(secs => $3), awaits_steps = $4
     WHERE run_id = $1 AND wake_seq = $2
       AND ($5::text IS NULL OR EXISTS (SELECT FROM workflow.workflow_events WHERE id = 'wevt_' || $5))`,
    [runId, seenSeq, delaySeconds ?? null, awaitsSteps, known ?? null],
  );
  if (rowCount === 1) return true;
  const { rows } = await client.query('SELECT FROM workflow_engine.run_progress WHERE run_id = $1', [runId]);
  // One that is gone has nothing to be seen.
  return rows.length === 0;
}

/** Where the run's jobs go. */
export async function readDeployment(pool: Pool, runId: string): Promise<RunSeed | undefined> {
  const { rows } = await patiently(() =>
    pool.query<RunSeed>(
      `SELECT job_prefix AS "jobPrefix", deployment_id AS "deploymentId", workflow_name AS "workflowName"
       FROM workflow_engine.run_progress WHERE run_id = $1`,
      [runId],
    ),
  );
  return rows[0];
}
