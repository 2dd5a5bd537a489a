import type { ClientBase } from 'pg';

/** As Stripe's; three bytes for each still fit a page of the index. */
const LONGEST_KEY = 255;

/** What `events.create` takes beside the runtime's parameters, for `run_created`. */
export interface StartKeyParams {
  startKey?: string;
}

export interface StartKeyClaim {
  jobPrefix: string;
  key: string;
  runId: string;
}

/** The key has started a run: `runId`. */
export class StartKeyTakenError extends Error {
  override name = 'StartKeyTakenError';
  readonly runId: string;

  constructor(runId: string) {
    super(`The start key is taken by ${runId}`);
    this.runId = runId;
  }
}

/**
 * Gives the key to the run that the open transaction creates. Whoever else has the key in a
 * transaction that is open is waited for.
 * @throws StartKeyTakenError; the transaction is to be rolled back
 */
export async function claimStartKey(client: ClientBase, { jobPrefix, key, runId }: StartKeyClaim): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query(
      `INSERT INTO workflow_engine.start_keys (job_prefix, key, run_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
      [jobPrefix, key, runId],
    );
    if (rowCount === 1) return;
    // A statement of its own: the one above does not see what it has waited for.
    const { rows } = await client.query<{ holder: string; exists: boolean }>(
      `SELECT k.run_id AS holder, r.id IS NOT NULL AS exists
       FROM workflow_engine.start_keys k LEFT JOIN workflow.workflow_runs r ON r.id = k.run_id
       WHERE k.job_prefix = $1 AND k.key = $2`,
      [jobPrefix, key],
    );
    // Not there any more: a prune has just freed it.
    const [found] = rows;
    // Ours: this transaction is tried again, and had committed the first time.
    if (found?.holder === runId) return;
    if (found?.exists) throw new StartKeyTakenError(found.holder);
    // The run was removed by hand: nobody can be given it.
    if (found) await client.query('DELETE FROM workflow_engine.start_keys WHERE run_id = $1', [found.holder]);
  }
}

/** What is wrong with a key, as the end of a sentence that begins with its name. */
export function problemOfStartKey(key: unknown): string | undefined {
  if (typeof key !== 'string') return `is not a string: it is ${key === null ? 'null' : typeof key}`;
  if (key.trim() === '') return 'is empty';
  if (key.length > LONGEST_KEY) return `has ${key.length} characters: at most ${LONGEST_KEY} are allowed`;
  if (key.includes('\0')) return 'contains a NUL character, which PostgreSQL cannot store';
  // Two of them would become the same key in UTF-8.
  if (!key.isWellFormed()) return 'contains half a surrogate pair, which is no text';
  return undefined;
}
