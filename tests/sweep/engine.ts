/** Whose worker is killed, and where its traces are. */
export interface Engine {
  /** For the workers; see worker.ts. */
  env: Record<string, string>;
  /** Run → its state; `$1`: runs to leave out. */
  look: string;
  /** Whether there is a message that may become a run. */
  messages: string;
  /** Run, its stream → what is wrong with its rows. */
  rows: string;
  /** How long a run may take to end, with one worker and with each that is started after it. */
  patienceMs: readonly number[];
  /** Whether one database does for many runs, and a finished log may be replayed in it. */
  lasting: boolean;
}

const RUN = `
  SELECT r.id AS run_id, r.status NOT IN ('pending', 'running') AS ended,
    EXISTS (SELECT FROM workflow.workflow_hooks h WHERE h.run_id = r.id) AS hook,
    EXISTS (SELECT FROM workflow.workflow_events e WHERE e.run_id = r.id AND type = 'hook_received') AS resumed`;

const ROWS = `
  SELECT 'step ' || step_id || ' is ' || status AS problem FROM workflow.workflow_steps
  WHERE run_id = $1 AND status NOT IN ('completed', 'failed')
  UNION ALL
  SELECT 'step ' || step_id || ' ran although it had its result' FROM executions WHERE run_id = $1 AND ended
  UNION ALL
  SELECT 'its hook is still there' FROM workflow.workflow_hooks WHERE run_id = $1
  UNION ALL
  SELECT 'its wait is ' || status FROM workflow.workflow_waits WHERE run_id = $1
  UNION ALL
  SELECT 'its stream has ' || count(*) || ' ends' FROM workflow.workflow_stream_chunks
  WHERE run_id = $1 AND stream_id = $2 || '_user' AND eof HAVING count(*) <> 1`;

export const OURS: Engine = {
  env: {},
  look: `${RUN},
      p.wake_seq = p.seen_seq AND NOT EXISTS (
        SELECT FROM workflow_queue.job WHERE state < 'completed' AND data::text LIKE '%' || r.id || '%') AS settled
    FROM workflow.workflow_runs r JOIN workflow_engine.run_progress p ON p.run_id = r.id
    WHERE r.id <> ALL ($1)`,
  messages: `SELECT FROM workflow_queue.job WHERE state < 'completed'`,
  rows: `${ROWS}
    UNION ALL
    SELECT 'a job is left over: ' || name || ', ' || state FROM workflow_queue.job
    WHERE state < 'completed' AND data::text LIKE '%' || $1 || '%'
    UNION ALL
    SELECT 'events are unseen: ' || wake_seq || ' > ' || seen_seq FROM workflow_engine.run_progress
    WHERE run_id = $1 AND wake_seq > seen_seq`,
  patienceMs: [120_000],
  lasting: true,
};

/** `@workflow/world-postgres` as it comes. What a dead worker held stays locked for four hours: no job is asked for. */
export const STOCK: Engine = {
  env: { SWEEP_WORLD: 'stock' },
  look: `${RUN}, true AS settled FROM workflow.workflow_runs r WHERE r.id <> ALL ($1)`,
  messages: 'SELECT FROM graphile_worker.jobs',
  rows: ROWS,
  patienceMs: [60_000, 30_000],
  lasting: false,
};
