import type { EventResult } from '@workflow/world';
import type { ClientBase } from 'pg';

/** What `events.create` takes beside the runtime's parameters, for `hook_received`. */
export interface HookAnswerParams {
  /** The event is to be the only answer to its hook. Keeps the ids that the tries of this one call gave it. */
  onlyAnswer?: Set<string>;
}

/** The hook has got its answer. */
export class AnsweredBeforeError extends Error {
  override name = 'AnsweredBeforeError';
}

/**
 * Writes an answer unless there is one. The open transaction has locked the run: two answers come one
 * after the other. The log decides, not the row of the hook, which is gone when a worker has gone on.
 * @param write writes the event, in the open transaction
 * @throws AnsweredBeforeError; the transaction is to be rolled back
 */
export async function writeOnlyAnswer(
  client: ClientBase,
  { runId, hookId, tries }: { runId: string; hookId: string; tries: Set<string> },
  write: () => Promise<EventResult>,
): Promise<EventResult> {
  const { rows } = await client.query<{ id: string }>(
    `SELECT id FROM workflow.workflow_events
     WHERE run_id = $1 AND correlation_id = $2 AND type = 'hook_received' ORDER BY id LIMIT 1`,
    [runId, hookId],
  );
  const [earlier] = rows;
  // Ours: this transaction is tried again, and had committed the first time.
  if (earlier && tries.has(earlier.id)) return {};
  if (earlier) throw new AnsweredBeforeError(`${hookId} of ${runId} has its answer: ${earlier.id}`);
  const result = await write();
  if (result.event) tries.add(result.event.eventId);
  return result;
}
