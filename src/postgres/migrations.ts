import { RUN_FUNCTIONS } from './event-functions.ts';
import { STEP_FUNCTIONS } from './step-functions.ts';

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

  `CREATE TABLE workflow_engine.model_calls (
     id            uuid PRIMARY KEY,
     job_prefix    text NOT NULL,
     run_id        text NOT NULL,
     step_id       text NOT NULL,
     -- which execution of the step asked, interruptions included
     execution     integer NOT NULL,
     model         text NOT NULL,
     simulated     boolean NOT NULL,
     -- completed or failed; null while it runs, and after a death
     outcome       text,
     started_at    timestamptz NOT NULL DEFAULT now(),
     ended_at      timestamptz,
     input_tokens  integer,
     -- the part of them that came from the provider's cache
     cached_tokens integer,
     output_tokens integer,
     -- as the CLI states it; nobody pays it for a simulated call
     cost_usd      numeric(12, 6),
     first_token_ms integer
   );
   CREATE INDEX model_calls_run ON workflow_engine.model_calls (run_id);

   CREATE TABLE workflow_engine.workers (
     id          uuid PRIMARY KEY,
     job_prefix  text NOT NULL,
     -- whose runs it takes
     deployments text[] NOT NULL,
     concurrency integer NOT NULL,
     host        text NOT NULL,
     pid         integer NOT NULL,
     started_at  timestamptz NOT NULL DEFAULT now(),
     seen_at     timestamptz NOT NULL DEFAULT now()
   );`,

  `ALTER TABLE workflow_engine.run_progress
     -- processes that died with a job of it since the last recorded result
     ADD COLUMN deaths integer NOT NULL DEFAULT 0,
     ADD COLUMN died_at timestamptz,
     -- parked while steps are in their queue: should their jobs get lost, nobody else would miss them
     ADD COLUMN awaits_steps boolean NOT NULL DEFAULT false,
     -- the run that this one repeats from its input
     ADD COLUMN redrive_of text;
   CREATE INDEX run_progress_awaits_steps ON workflow_engine.run_progress (job_prefix) WHERE awaits_steps;
   CREATE UNIQUE INDEX run_progress_redrive_of ON workflow_engine.run_progress (redrive_of);

   -- whether each of its jobs has an advisory lock while the process lives
   ALTER TABLE workflow_engine.workers ADD COLUMN locks boolean NOT NULL DEFAULT false;

   CREATE TABLE workflow_engine.start_keys (
     job_prefix text NOT NULL,
     key        text NOT NULL,
     run_id     text NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (job_prefix, key)
   );
   CREATE INDEX start_keys_run ON workflow_engine.start_keys (run_id);`,

  `-- outcome: completed, failed, aborted (its process was killed), lost (its worker died); null while it runs
   ALTER TABLE workflow_engine.model_calls
     ADD COLUMN total_ms integer,
     -- HTTP, of a failure that has one
     ADD COLUMN api_status integer,
     ADD COLUMN error text,
     -- cut off: output_tokens is counted by the characters that came, four to a token, and the cost is not known
     ADD COLUMN estimated boolean NOT NULL DEFAULT false;
   -- Those of before that nobody has closed; what is running closes its row itself, also after this.
   UPDATE workflow_engine.model_calls c SET outcome = 'lost', ended_at = now()
   WHERE outcome IS NULL AND NOT EXISTS (
     SELECT FROM workflow.workflow_runs r WHERE r.id = c.run_id AND r.status IN ('pending', 'running'));

   CREATE VIEW workflow_engine.model_usage_by_run AS
     SELECT c.job_prefix, c.run_id, p.workflow_name, bool_and(c.simulated) AS simulated,
            array_agg(DISTINCT c.model) AS models, count(*)::integer AS calls,
            count(*) FILTER (WHERE c.outcome = 'completed')::integer AS completed,
            count(*) FILTER (WHERE c.outcome = 'failed')::integer AS failed,
            count(*) FILTER (WHERE c.outcome = 'aborted')::integer AS aborted,
            count(*) FILTER (WHERE c.outcome = 'lost')::integer AS lost,
            count(*) FILTER (WHERE c.outcome IS NULL)::integer AS running,
            coalesce(sum(c.input_tokens), 0) AS input_tokens, coalesce(sum(c.cached_tokens), 0) AS cached_tokens,
            coalesce(sum(c.output_tokens), 0) AS output_tokens, coalesce(sum(c.cost_usd), 0) AS cost_usd
     FROM workflow_engine.model_calls c LEFT JOIN workflow_engine.run_progress p USING (run_id)
     GROUP BY c.job_prefix, c.run_id, p.workflow_name;

   CREATE VIEW workflow_engine.model_usage_by_workflow AS
     SELECT job_prefix, workflow_name, simulated, count(*)::integer AS runs, sum(calls)::integer AS calls,
            sum(completed)::integer AS completed, sum(failed)::integer AS failed, sum(aborted)::integer AS aborted,
            sum(lost)::integer AS lost, sum(running)::integer AS running, sum(input_tokens) AS input_tokens,
            sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens, sum(cost_usd) AS cost_usd,
            round(sum(cost_usd) / count(*), 6) AS cost_usd_per_run
     FROM workflow_engine.model_usage_by_run
     GROUP BY job_prefix, workflow_name, simulated;`,

  '-- had the functions for the first time, which the next has as they are now',

  '-- replaced the functions as a whole, which the next has as they are now',

  // An event is written under a lease of its own run only; each function has a path of its own, and compares ids as bytes.
  `-- whose row a worker has locked looks for what others have missed; of an advisory lock, anybody could be the holder
   CREATE TABLE workflow_engine.sweeps (job_prefix text PRIMARY KEY);
   -- always empty: a row is deleted in the transaction that inserts it, for which others wait who claim the same
   CREATE TABLE workflow_engine.token_claims (job_prefix text, token bytea, PRIMARY KEY (job_prefix, token));
   -- what the worker cannot do at the moment: task, reason, since, failures
   ALTER TABLE workflow_engine.workers ADD COLUMN troubles jsonb NOT NULL DEFAULT '[]';` +
    RUN_FUNCTIONS +
    STEP_FUNCTIONS,
];

/** The version that this code needs. */
export const ENGINE_VERSION = MIGRATIONS.length;

/** The statements that bring the schema from a version to this code's; 0: from nothing. */
export function engineMigrations(version: number): string[] {
  const pending = MIGRATIONS.slice(version).flatMap((statements, index) => [
    statements,
    `INSERT INTO ${ENGINE_SCHEMA}.migrations (version) VALUES (${version + index + 1})`,
  ]);
  if (version > 0) return pending;
  return [
    `CREATE SCHEMA IF NOT EXISTS ${ENGINE_SCHEMA}`,
    `CREATE TABLE IF NOT EXISTS ${ENGINE_SCHEMA}.migrations (
       version integer PRIMARY KEY,
       applied_at timestamptz NOT NULL DEFAULT now()
     )`,
    ...pending,
  ];
}
