import type { AnyEventRequest, CreateEventParams, EventResult, Storage } from '@workflow/world';
import type { PoolClient } from 'pg';
import { LeaseLostError, type Lease, type Scope } from '../runtime/scope.ts';
import { createEventOrder } from './event-order.ts';
import { refuseEarlyEnd, stampTimes } from './event-times.ts';
import { writeOnlyAnswer, type HookAnswerParams } from './hook-answers.ts';
import { joinTransaction } from './joined-pool.ts';
import { closeLostCalls } from './model-calls.ts';
import { lockLease, lockRun, recordEvents } from './run-progress.ts';
import { isObserved } from '../runtime/run-log.ts';
import type { AfterCommit } from './write-steps.ts';

/** What was executed has ended by itself. */
const RESULTS = new Set(['step_failed', 'step_retrying', 'wait_completed']);

/** What a replay makes with its own random numbers, as it does steps. */
const WAITED_FOR = new Set(['wait_created', 'hook_created']);

const ENDS_RUN = new Set(['run_failed', 'run_cancelled']);

export interface StockWriting {
  /** world-postgres's own, on a JoinedPool. */
  stock: Storage['events'];
  queueSchema: string;
  jobPrefix: string;
  runId: string;
  event: AnyEventRequest;
  params: (CreateEventParams & HookAnswerParams) | undefined;
  scope: Scope | undefined;
  /** In whose name the event is written; undefined: whoever it is. */
  lease: Lease | undefined;
}

/** Writes one of the less frequent events in the open transaction, as world-postgres does, in the order of the run's log. */
export async function writeStock(
  client: PoolClient,
  writing: StockWriting,
  committed: AfterCommit,
): Promise<EventResult> {
  const { stock, queueSchema, jobPrefix, runId, event, params, scope, lease } = writing;
  const run = await lockRun(client, runId);
  if (lease && !(await lockLease(client, queueSchema, lease))) {
    throw new LeaseLostError(`${event.eventType} refused: the lease of ${runId} is gone`);
  }
  // A crash of the server has taken the start of the run, from which its replay took its random numbers.
  if (lease && run?.isNew && WAITED_FOR.has(event.eventType)) {
    throw new LeaseLostError(`${event.eventType} refused: the start of ${runId} is lost`);
  }

  // Others may end a wait before its time, to skip it.
  if (scope?.kind === 'replay' && event.eventType === 'wait_completed')
    await refuseEarlyEnd(client, runId, event.correlationId);

  // A statement before the look for it, which sees then what was committed meanwhile.
  if (event.eventType === 'hook_created')
    await client.query('SELECT workflow_engine.claim_token($1, $2)', [jobPrefix, event.eventData.token]);

  const order = createEventOrder(run?.lastEventId);
  const stockCreate = stock.create as (...args: unknown[]) => Promise<EventResult>;
  const stamp = run ? stampTimes(event, run.at) : (value: unknown) => value;
  const mapValue = (value: unknown) => stamp(order.renumber(value));
  const execute = async () => {
    const text = event.eventType === 'hook_created' ? (sql: string) => amongOwnHooks(sql, jobPrefix) : undefined;
    const map = { value: mapValue, ...(text && { text }) };
    const written = await joinTransaction(client, () => stockCreate(runId, event, params), map);
    if (written.event) written.event.eventId = String(order.renumber(written.event.eventId));
    return written;
  };
  const result =
    event.eventType === 'hook_received' && params?.onlyAnswer
      ? await writeOnlyAnswer(client, { runId, hookId: event.correlationId, tries: params.onlyAnswer }, execute)
      : await execute();

  if (ENDS_RUN.has(event.eventType)) await closeLostCalls(client, runId);
  if (run && order.last) {
    const written = {
      previous: run.lastEventId,
      ids: order.ids,
      wakes: wakes(event, result),
      isResult: RESULTS.has(event.eventType),
    };
    const movedTo = await recordEvents(client, runId, written);
    if (movedTo && result.event) result.event.createdAt = movedTo;
    // More than one, or none that is returned: the driver reads them.
    const { last } = order;
    const { event: own } = result;
    if (own && order.ids.length === 1) committed(() => scope?.log?.add(run.lastEventId, [own], last));
  }
  return result;
}

/**
 * Whether a token is taken, world-postgres asks of all hooks in the table. Here it is the application's own: two may
 * wait on the same one. (A test fails should the statement ever look different.)
 * @param jobPrefix letters, digits and the like only
 */
function amongOwnHooks(sql: string, jobPrefix: string): string {
  const byToken = '"workflow_hooks"."token" = $1';
  const own = `SELECT run_id FROM workflow_engine.run_progress WHERE job_prefix = '${jobPrefix}'`;
  return sql.startsWith('select') ? sql.replace(byToken, `${byToken} AND "workflow_hooks"."run_id" IN (${own})`) : sql;
}

/** Whether a replay of the run could observe the event that was written. */
export function wakes(event: AnyEventRequest, result: EventResult): boolean {
  return result.event !== undefined && isObserved(event);
}
