import type { ClientBase } from 'pg';
import { ConfigError } from '../config/config.ts';
import type { SetupPart } from './setup-plan.ts';

/** The comment by which we recognise a schema `pgboss` that we made. */
const OUR_MARK = 'postgres-world: a view of its queue, for SQL that expects pg-boss in this schema';

/** world-postgres's migration 0008, which runs DROP SCHEMA pgboss CASCADE, by its time in the migrations' journal. */
const MIGRATION_0008 = 1_770_000_000_000;

type Owner = 'nobody' | 'us' | 'somebody else';

/**
 * @throws ConfigError where somebody else's pg-boss lives in the schema `pgboss` and world-postgres's
 * migration, not yet applied, would drop it with all its jobs
 */
export async function assertPgbossIsOurs(client: ClientBase): Promise<void> {
  if ((await ownerOfPgboss(client)) !== 'somebody else') return;
  if (await isMigration0008Applied(client)) return;
  throw new ConfigError(
    [
      'This database has a schema "pgboss" that another application uses, and setting up',
      '@workflow/world-postgres here would drop it with all its jobs (its migration 0008 runs',
      'DROP SCHEMA pgboss CASCADE). Nothing was changed. Either',
      '  - give the workflows a database of their own:  CREATE DATABASE workflow_dev;  and point WORKFLOW_POSTGRES_URL at it, or',
      '  - move the other pg-boss:  ALTER SCHEMA pgboss RENAME TO …;  and set its `schema` option to that name.',
    ].join('\n'),
  );
}

/** The queue under the names that the documentation of older pg-boss versions uses. Never touches a `pgboss` of others. */
export async function planPgbossView(client: ClientBase, queueSchema: string): Promise<SetupPart> {
  const name = 'the view pgboss.job, for SQL that looks for the queue there';
  const owner = await ownerOfPgboss(client);
  if (owner === 'somebody else') return { name, found: 'left out: the schema pgboss is somebody else’s', sql: [] };
  // By the catalog: to_regclass refuses a role that may not use the schema.
  const { rowCount } = await client.query(
    `SELECT FROM pg_class WHERE relname = 'job' AND relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = 'pgboss')`,
  );
  if (rowCount === 1) return { name, found: 'there', sql: [] };
  return {
    name,
    isOptional: true,
    found: 'missing',
    sql: [
      'CREATE SCHEMA IF NOT EXISTS pgboss',
      `COMMENT ON SCHEMA pgboss IS '${OUR_MARK}'`,
      `CREATE OR REPLACE VIEW pgboss.job AS
         SELECT id, name, state, data, singleton_key, retry_limit, retry_count, priority,
                created_on, start_after, started_on, completed_on, output,
                created_on AS createdOn, started_on AS startedOn, completed_on AS completedOn
         FROM ${queueSchema}.job`,
    ],
  };
}

async function ownerOfPgboss(client: ClientBase): Promise<Owner> {
  const { rows } = await client.query<{ mark: string | null }>(
    `SELECT obj_description(oid, 'pg_namespace') AS mark FROM pg_namespace WHERE nspname = 'pgboss'`,
  );
  if (!rows[0]) return 'nobody';
  return rows[0].mark === OUR_MARK ? 'us' : 'somebody else';
}

async function isMigration0008Applied(client: ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ exists: boolean }>(
    `SELECT to_regclass('workflow_drizzle.workflow_migrations') IS NOT NULL AS exists`,
  );
  if (!rows[0]?.exists) return false;
  const applied = await client.query(
    'SELECT FROM workflow_drizzle.workflow_migrations WHERE created_at >= $1 LIMIT 1',
    [MIGRATION_0008],
  );
  return applied.rowCount === 1;
}
