import { join } from 'node:path';
import type { Application } from './application.ts';
import type { TestDatabase } from './database.ts';
import { PROJECT, run, startProgram, type Program } from './program.ts';

const INDEX = join(PROJECT, 'index.ts');

export interface BulkRuns {
  count: number;
  /** Number of the first one; decides the ids. */
  first?: number;
  jobPrefix?: string;
  endedDaysAgo?: number;
  chunks?: number;
}

/** The id of a run of {@link insertEndedRuns}. */
export function bulkRunId(n: number): string {
  return `wrun_${String(n).padStart(26, '0')}`;
}

/** The stream of such a run. */
export function bulkStream(n: number): string {
  return `strm_${String(n).padStart(26, '0')}_user`;
}

/** Completed runs of 5 events, 2 steps, 2 finished jobs and a stream each, whose last chunk is its end mark. */
export async function insertEndedRuns(database: TestDatabase, options: BulkRuns): Promise<void> {
  const { count, first = 1, jobPrefix = 'workflow_', endedDaysAgo = 40, chunks = 3 } = options;
  const queues = [`${jobPrefix}flows.bulk`, `${jobPrefix}steps.bulk`];
  const numbers = `generate_series(${first}, ${first + count - 1}) AS n`;
  const ulid = `lpad(n::text, 26, '0')`;
  const endedAt = `(now() AT TIME ZONE 'UTC')::timestamp - interval '${endedDaysAgo} days'`;
  await insertQueues(database, queues);
  for (const statement of [
    `INSERT INTO workflow.workflow_runs (id, deployment_id, status, name, created_at, completed_at)
     SELECT 'wrun_' || ${ulid}, 'bulk', 'completed', 'bulk', ${endedAt}, ${endedAt} FROM ${numbers}`,
    `INSERT INTO workflow_engine.run_progress (run_id, job_prefix, deployment_id, workflow_name, wake_seq, seen_seq)
     SELECT 'wrun_' || ${ulid}, '${jobPrefix}', 'bulk', 'bulk', 5, 5 FROM ${numbers}`,
    `INSERT INTO workflow.workflow_events (id, type, run_id)
     SELECT 'wevt_' || ${ulid} || '_' || e, 'bulk', 'wrun_' || ${ulid} FROM ${numbers}, generate_series(1, 5) AS e`,
    `INSERT INTO workflow.workflow_steps (run_id, step_id, step_name, status, attempt)
     SELECT 'wrun_' || ${ulid}, 'step_' || ${ulid} || '_' || s, 'bulk', 'completed', 1 FROM ${numbers}, generate_series(1, 2) AS s`,
    `INSERT INTO workflow.workflow_stream_chunks (id, stream_id, run_id, data, eof)
     SELECT 'chnk_' || lpad(c::text, 26, '0'), 'strm_' || ${ulid} || '_user', 'wrun_' || ${ulid}, '\\x01', c = ${chunks} - 1
     FROM ${numbers}, generate_series(0, ${chunks} - 1) AS c`,
    `INSERT INTO workflow_queue.job (name, state, policy, singleton_key, completed_on, data)
     SELECT '${queues[0]}', 'completed'::workflow_queue.job_state, 'exclusive', 'wrun_' || ${ulid}, now(),
            jsonb_build_object('payload', jsonb_build_object('runId', 'wrun_' || ${ulid})) FROM ${numbers}
     UNION ALL
     SELECT '${queues[1]}', 'completed'::workflow_queue.job_state, 'exclusive', 'step_' || ${ulid} || '_1', now(),
            jsonb_build_object('payload', jsonb_build_object('stepId', 'x', 'workflowRunId', 'wrun_' || ${ulid})) FROM ${numbers}`,
  ]) {
    await database.query(statement);
  }
}

/** Runs of which every other one waits for a hook, and the others for a timer, with a delayed job. */
export async function insertParkedRuns(database: TestDatabase, count: number, deploymentId = 'bulk'): Promise<void> {
  const queue = `workflow_flows.${deploymentId}`;
  await insertQueues(database, [queue]);
  const ulid = `lpad(n::text, 26, '0')`;
  const numbers = `generate_series(1, ${count}) AS n`;
  for (const statement of [
    `INSERT INTO workflow.workflow_runs (id, deployment_id, status, name)
     SELECT 'wrun_' || ${ulid}, '${deploymentId}', 'running', 'bulk' FROM ${numbers}`,
    `INSERT INTO workflow_engine.run_progress (run_id, job_prefix, deployment_id, workflow_name, wake_seq, seen_seq, due_at)
     SELECT 'wrun_' || ${ulid}, 'workflow_', '${deploymentId}', 'bulk', 5, 5,
            CASE n % 2 WHEN 0 THEN now() + interval '1 hour' END FROM ${numbers}`,
    `INSERT INTO workflow_queue.job (name, state, policy, singleton_key, group_id, start_after, data)
     SELECT '${queue}', 'created', 'exclusive', 'wrun_' || ${ulid}, 'wrun_' || ${ulid}, now() + interval '1 hour',
            jsonb_build_object('payload', jsonb_build_object('runId', 'wrun_' || ${ulid})) FROM ${numbers} WHERE n % 2 = 0`,
    'ANALYZE',
  ]) {
    await database.query(statement);
  }
}

async function insertQueues(database: TestDatabase, queues: readonly string[]): Promise<void> {
  await database.query(
    `INSERT INTO workflow_queue.queue (name, policy, retry_limit, retry_delay, retry_backoff, expire_seconds,
       retention_seconds, deletion_seconds, partition, table_name)
     SELECT name, 'exclusive', 100, 1, true, 60, 60, 60, false, 'job_common' FROM unnest($1::text[]) AS name
     ON CONFLICT DO NOTHING`,
    [queues],
  );
}

export interface PruneResult {
  dryRun: boolean;
  removed: Record<string, number>;
  keptRuns: number;
}

/** `prune --older-than DURATION` in a process of its own. */
export function startPrune({ url }: TestDatabase, args: string[]): Program {
  return startProgram(INDEX, ['prune', '--older-than', ...args, '--json'], { env: { WORKFLOW_POSTGRES_URL: url } });
}

/** The same to its end, and what it reports. */
export async function prune(database: TestDatabase, ...args: string[]): Promise<PruneResult> {
  const { exitCode, stdout, stderr } = await run(startPrune(database, args));
  if (exitCode !== 0) throw new Error(`prune ended with ${exitCode}:\n${stderr}`);
  return JSON.parse(stdout) as PruneResult;
}

/** Every table that says in a column whose run its rows belong to: `schema.table` → that column. */
export async function tablesOfRuns({ query }: TestDatabase): Promise<{ table: string; column: string }[]> {
  return query(`
    SELECT table_schema || '.' || table_name AS table, column_name AS column
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema IN ('workflow', 'workflow_engine') AND table_type = 'BASE TABLE'
      -- where the tests write down what was executed
      AND table_name <> 'executions'
      AND (column_name = 'run_id' OR table_name = 'workflow_runs' AND column_name = 'id')
    ORDER BY 1`);
}

/** How many rows of these runs each table has, jobs of all states included; tables without any are left out. */
export async function rowsOf(database: TestDatabase, runIds: readonly string[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const count = async (name: string, from: string) => {
    const [{ rows } = { rows: 0 }] = await database.query<{ rows: number }>(
      `SELECT count(*)::integer AS rows FROM ${from}`,
      [runIds],
    );
    if (rows > 0) counts[name] = rows;
  };
  for (const { table, column } of await tablesOfRuns(database))
    await count(table, `${table} WHERE ${column} = ANY ($1)`);
  await count(
    'jobs',
    `workflow_queue.job WHERE data::text LIKE ANY (SELECT '%' || id || '%' FROM unnest($1::text[]) AS id)`,
  );
  return counts;
}

/** Nothing of these runs is queued, being worked on, or still to be seen by a driver. */
export async function areSettled(app: Application, runIds: readonly string[]): Promise<boolean> {
  const busy = await app.query(
    `SELECT FROM workflow_engine.run_progress p WHERE run_id = ANY ($1) AND (wake_seq > seen_seq OR EXISTS (
       SELECT FROM workflow_queue.job WHERE state <= 'active' AND data::text LIKE '%' || p.run_id || '%'))`,
    [runIds],
  );
  return busy.length === 0;
}
