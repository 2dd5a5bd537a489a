import { EntityConflictError } from '@workflow/errors';
import type { AnyEventRequest } from '@workflow/world';
import type { ClientBase } from 'pg';
import type { DatabaseClock } from './database-clock.ts';

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** These write rows with times; those of hooks write tokens, which may look like one. */
const TIMED = /^(run|step|wait)_/;

/** A step says by the clock of its process when it is to be tried again; everybody else reads the database's. */
export function byDatabaseClock(event: AnyEventRequest, clock: DatabaseClock): AnyEventRequest {
  if (event.eventType !== 'step_retrying' || !event.eventData.retryAfter) return event;
  const retryAfter = new Date(event.eventData.retryAfter.getTime() + clock.now() - Date.now());
  return { ...event, eventData: { ...event.eventData, retryAfter } };
}

/**
 * Puts the transaction's time where world-postgres binds the time of the process: `started_at`, which is the
 * clock and the random seed of every replay, `completed_at` and `updated_at`. Times of the event itself stay.
 */
export function stampTimes(event: AnyEventRequest, at: Date): (value: unknown) => unknown {
  const eventData: Record<string, unknown> = ('eventData' in event && event.eventData) || {};
  const own = new Set(Object.values(eventData).map((value) => (value instanceof Date ? value.toISOString() : value)));
  const stamp = at.toISOString();
  return (value) => {
    const isOfProcess = TIMED.test(event.eventType) && typeof value === 'string' && TIMESTAMP.test(value);
    return isOfProcess && !own.has(value) ? stamp : value;
  };
}

/**
 * No replay ends a wait before its time, should its clock be some milliseconds ahead. The runtime
 * takes the conflict for "completed already", finds that it is not, and comes back after a second.
 * @throws EntityConflictError
 */
export async function refuseEarlyEnd(client: ClientBase, runId: string, waitId: string): Promise<void> {
  const { rowCount } = await client.query(
    'SELECT FROM workflow.workflow_waits WHERE wait_id = $1 AND resume_at > now()::timestamp',
    [`${runId}-${waitId}`],
  );
  if (rowCount) throw new EntityConflictError(`Cannot end ${waitId}: its time has not come`);
}
