import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { ConfigError } from '../config/config.ts';
import type { SimulatedCall } from '../model/simulated-api.ts';
import type { WorkerProcess } from './start-worker.ts';

const POLL_INTERVAL_MS = 50;

/** An answer is in the middle when so many words of it were sent, */
export const WORDS_SENT = 5;
/** or, where nobody sees them, when the call is so old. */
const CALL_AGE_SECONDS = 2;

/** What the log was like when the worker died. */
export interface Death {
  /** By the clock of the database, as the events. */
  at: Date;
  /** The last event of before. */
  lastEventId: string;
}

interface Progress {
  completed: number;
  running: number;
  /** Calls without an end that are old enough. */
  open: number;
  ended: boolean;
}

/**
 * Waits until a step of the run is completed and the calls of the others are in the middle; for
 * Claude, of another one: several at once may never be.
 * @param calls what the simulated API was asked; undefined for Claude
 * @throws ConfigError when the run has ended before
 */
export async function untilInTheMiddle(
  pool: Pool,
  runId: string,
  calls: readonly SimulatedCall[] | undefined,
): Promise<void> {
  for (;;) {
    const { completed, running, open, ended } = await readProgress(pool, runId);
    if (ended) throw new ConfigError('The run ended before its worker could be killed. Try once more.');
    const answering = calls?.filter(({ state, words }) => state === 'being answered' && words >= WORDS_SENT).length;
    if (completed > 0 && running > 0 && (answering === undefined ? open > 0 : answering === running)) return;
    await delay(POLL_INTERVAL_MS);
  }
}

export async function killWorker(pool: Pool, runId: string, victim: WorkerProcess): Promise<Death> {
  const { rows: clock } = await pool.query<{ at: Date }>('SELECT clock_timestamp() AS at');
  await victim.kill();
  const { rows: log } = await pool.query<{ lastEventId: string }>(
    `SELECT max(id) AS "lastEventId" FROM workflow.workflow_events WHERE run_id = $1`,
    [runId],
  );
  return { at: clock[0]!.at, lastEventId: log[0]!.lastEventId };
}

async function readProgress(pool: Pool, runId: string): Promise<Progress> {
  const { rows } = await pool.query<Progress>(
    `SELECT r.status NOT IN ('pending', 'running') AS ended,
            (SELECT count(*) FROM workflow.workflow_steps WHERE run_id = r.id AND status = 'completed')::int AS completed,
            (SELECT count(*) FROM workflow.workflow_steps WHERE run_id = r.id AND status = 'running')::int AS running,
            (SELECT count(*) FROM workflow_engine.model_calls
             WHERE run_id = r.id AND outcome IS NULL AND started_at < now() - make_interval(secs => $2))::int AS open
     FROM workflow.workflow_runs r WHERE r.id = $1`,
    [runId, CALL_AGE_SECONDS],
  );
  // Its first message may be driven before it is written down.
  return rows[0] ?? { completed: 0, running: 0, open: 0, ended: false };
}
