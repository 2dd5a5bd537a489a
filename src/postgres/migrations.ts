import type { ClientBase } from 'pg';

export const ENGINE_SCHEMA = 'workflow_engine';

/**
 * Our own tables. A migration that has been released is never edited: append another.
 * world-postgres and pg-boss keep and migrate their own schemas.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE workflow_engine.run_progress (
     run_id        text PRIMARY KEY,
     job_prefix    text NOT NULL,
     deployment_id text NOT NULL,
     workflow_name text NOT NULL,
     -- raised by every event that a replay can observe; what a driver had seen of it when it parked
     wake_seq      integer NOT NULL DEFAULT 0,
     seen_seq      integer NOT NULL DEFAULT 0,
     -- when the next timer of a parked run is due, by the clock of the database
     due_at        timestamptz,
     last_event_id text,
     created_at    timestamptz NOT NULL DEFAULT now()
   );
   CREATE INDEX run_progress_unseen ON workflow_engine.run_progress (job_prefix) WHERE wake_seq > seen_seq;
   CREATE INDEX run_progress_due ON workflow_engine.run_progress (job_prefix, due_at) WHERE due_at IS NOT NULL;

   CREATE TABLE workflow_engine.step_progress (
     step_id       text PRIMARY KEY,
     run_id        text NOT NULL,
     job_prefix    text NOT NULL,
     -- executions that were cut off: by a death, a lost lease or a shutdown
     interruptions integer NOT NULL DEFAULT 0
   );
   CREATE INDEX step_progress_run ON workflow_engine.step_progress (run_id);`,
];

/** The version that this code needs. */
export const ENGINE_VERSION = MIGRATIONS.length;

/** Applies what is missing, on a connection that is inside a transaction and holds the set-up lock. */
export async function migrateEngine(client: ClientBase): Promise<void> {
  await client.query(`
    CREATE SCHEMA IF NOT EXISTS ${ENGINE_SCHEMA};
    CREATE TABLE IF NOT EXISTS ${ENGINE_SCHEMA}.migrations (
      version integer PRIMARY KEY,
      applied_at timestamptz NOT NULL DEFAULT now()
    )`);
  const { rows } = await client.query<{ version: number | null }>(
    `SELECT max(version) AS version FROM ${ENGINE_SCHEMA}.migrations`,
  );
  const current = rows[0]?.version ?? 0;
  for (const [index, statements] of MIGRATIONS.entries()) {
    const version = index + 1;
    if (version <= current) continue;
    await client.query(statements);
    await client.query(`INSERT INTO ${ENGINE_SCHEMA}.migrations (version) VALUES ($1)`, [version]);
  }
}
