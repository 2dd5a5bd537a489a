import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { Client } from 'pg';
import { PgBoss } from 'pg-boss';
import { assertPgbossIsOurs, createPgbossView } from './pgboss-schema.ts';
import { ENGINE_SCHEMA, migrateEngine } from './migrations.ts';

/** An arbitrary number; whoever holds this advisory lock is setting up the database. */
const SETUP_LOCK = 7_205_759_403;

export interface SetupReport {
  /** `schema.table` of everything that exists now, sorted. */
  tables: string[];
  /** What this role was not allowed to do, with the statement for somebody who is. */
  leftToDo: string[];
}

/**
 * Brings the database to the state that this code needs. Idempotent; two processes may run it at once.
 * @throws ConfigError where it would destroy somebody else's pg-boss
 */
export async function setUpDatabase(connectionString: string, queueSchema: string): Promise<SetupReport> {
  const client = new Client({ connectionString, application_name: 'postgres-world setup' });
  // The statement under way reports it.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(`SET lock_timeout = '60s'`);
    // Held by the session: the three migrators open and commit transactions of their own.
    await client.query('SELECT pg_advisory_lock($1)', [SETUP_LOCK]);
    await assertPgbossIsOurs(client);
    await migrateWorld(client);
    await migrateQueue(client, queueSchema);
    await client.query('BEGIN');
    await migrateEngine(client);
    await createPgbossView(client, queueSchema);
    await client.query('COMMIT');
    const leftToDo = await extendSearchPath(client);
    return { tables: await listTables(client, queueSchema), leftToDo };
  } finally {
    await client.end();
  }
}

/** world-postgres's own migrations. Its `bootstrap` command would also make the schema of a queue that is not used here. */
async function migrateWorld(client: Client): Promise<void> {
  const firstMigration = import.meta.resolve('@workflow/world-postgres/migrations/0000_cultured_the_anarchist.sql');
  await migrate(drizzle(client), {
    migrationsFolder: dirname(fileURLToPath(firstMigration)),
    migrationsTable: 'workflow_migrations',
    migrationsSchema: 'workflow_drizzle',
  });
}

async function migrateQueue(client: Client, queueSchema: string): Promise<void> {
  const boss = new PgBoss({
    schema: queueSchema,
    supervise: false,
    schedule: false,
    db: { executeSql: (text, values) => client.query(text, values) },
  });
  let failure: Error | undefined;
  boss.on('error', (error) => (failure = error));
  await boss.start();
  await boss.stop({ graceful: false });
  if (failure) throw failure;
}

/** Appends `workflow` to the database's search path, so that `SELECT … FROM workflow_runs` works as documented. */
async function extendSearchPath(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ path: string; database: string }>(`
    SELECT current_setting('search_path') AS path, quote_ident(current_database()) AS database`);
  const [{ path, database }] = rows as [{ path: string; database: string }];
  if (path.split(',').some((schema) => schema.trim() === 'workflow')) return [];
  const statement = `ALTER DATABASE ${database} SET search_path = ${path}, workflow`;
  try {
    await client.query(statement);
    return [];
  } catch (error) {
    if ((error as { code?: string }).code !== '42501') throw error;
    return [`${statement};`];
  }
}

async function listTables(client: Client, queueSchema: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT c.relnamespace::regnamespace || '.' || c.relname AS name
     FROM pg_class c
     WHERE c.relnamespace::regnamespace::text = ANY ($1) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
     ORDER BY 1`,
    [['workflow', ENGINE_SCHEMA, queueSchema, 'pgboss']],
  );
  return rows.map(({ name }) => name);
}
