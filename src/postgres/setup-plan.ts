import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import type { ClientBase } from 'pg';
import { getConstructionPlans, getMigrationPlans } from 'pg-boss';
import pgBossPackage from 'pg-boss/package.json' with { type: 'json' };
import { ConfigError } from '../config/config.ts';
import { ENGINE_SCHEMA, ENGINE_VERSION, engineMigrations } from './migrations.ts';
import { planByteOrder } from './byte-order.ts';
import { SEARCH_PATH } from './own-names.ts';
import { planPgbossView } from './pgboss-schema.ts';

/** Something that the database needs; `sql` is empty where it has it. */
export interface SetupPart {
  name: string;
  /** What there is of it. */
  found: string;
  sql: string[];
  /** Whether everything else works without it. */
  isOptional?: boolean;
}

/**
 * What has to be done to a database, in this order and in one transaction. Changes nothing.
 * @throws ConfigError for a database that newer code has set up
 */
export async function planSetup(client: ClientBase, queueSchema: string): Promise<SetupPart[]> {
  const world = await planWorld(client);
  const engine = await planEngine(client);
  const isPending = world.sql.length > 0 || engine.sql.length > 0;
  return [
    world,
    await planQueue(client, queueSchema),
    engine,
    await planByteOrder(client, isPending),
    await planPgbossView(client, queueSchema),
  ];
}

/** By its time in the migrations' journal: moves the types that the ones before made in `public`. */
const TYPES_MOVED = 1_782_691_200_000;

/**
 * The migrations make their types in `public`, and name them without a schema later. There, everybody may have made
 * what is taken for theirs; so they are made where the last migration moves them.
 */
function inSchemaWorkflow(sql: string): string {
  return sql.replaceAll('"public".', '"workflow".');
}

/** What drizzle's `migrate` would do, which can neither be looked at beforehand nor join a transaction. */
async function planWorld(client: ClientBase): Promise<SetupPart> {
  const firstMigration = import.meta.resolve('@workflow/world-postgres/migrations/0000_cultured_the_anarchist.sql');
  const migrations = readMigrationFiles({ migrationsFolder: dirname(fileURLToPath(firstMigration)) });
  const journal = 'workflow_drizzle.workflow_migrations';
  const last = (await readNumber(client, journal, `SELECT max(created_at) AS n FROM ${journal}`)) ?? 0;
  const newest = migrations.at(-1)?.folderMillis ?? 0;
  const pending = migrations.filter(({ folderMillis }) => folderMillis > last);
  const name = '@workflow/world-postgres (schema workflow)';
  assertNotNewer(name, last, newest);
  const found = `${migrations.length - pending.length} of ${migrations.length} migrations`;
  if (pending.length === 0) return { name, found, sql: [] };
  const journalled =
    last === 0
      ? [
          'CREATE SCHEMA IF NOT EXISTS workflow_drizzle',
          `CREATE TABLE IF NOT EXISTS ${journal} (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint)`,
        ]
      : // What older ones have made in public is moved before the next one.
        migrations.filter(({ folderMillis }) => folderMillis === TYPES_MOVED).flatMap(({ sql }) => sql);
  const applied = pending.flatMap(({ sql, hash, folderMillis }) => [
    ...(folderMillis < TYPES_MOVED ? sql.map(inSchemaWorkflow) : sql),
    `INSERT INTO ${journal} (hash, created_at) VALUES ('${hash}', ${folderMillis})`,
  ]);
  const withTypes = `SET LOCAL search_path = pg_catalog, workflow, pg_temp`;
  const without = `SET LOCAL search_path = ${SEARCH_PATH}`;
  return { name, found, sql: [...journalled, withTypes, ...applied, without] };
}

async function planQueue(client: ClientBase, queueSchema: string): Promise<SetupPart> {
  const needed = pgBossPackage.pgboss.schema;
  const table = `${queueSchema}.version`;
  const version = await readNumber(client, table, `SELECT version AS n FROM ${table}`);
  const name = `pg-boss (schema ${queueSchema})`;
  assertNotNewer(name, version ?? 0, needed);
  const found = describe(version, needed);
  if (version === needed) return { name, found, sql: [] };
  const plans = version === undefined ? getConstructionPlans(queueSchema) : getMigrationPlans(queueSchema, version);
  return { name, found, sql: [inOneTransaction(plans)] };
}

async function planEngine(client: ClientBase): Promise<SetupPart> {
  const table = `${ENGINE_SCHEMA}.migrations`;
  const version = await readNumber(client, table, `SELECT max(version) AS n FROM ${table}`);
  const name = `this project's tables (schema ${ENGINE_SCHEMA})`;
  assertNotNewer(name, version ?? 0, ENGINE_VERSION);
  return { name, found: describe(version, ENGINE_VERSION), sql: engineMigrations(version ?? 0) };
}

/**
 * pg-boss's statements without its own BEGIN and COMMIT: the transaction is ours, and so is the lock. Its migrations go
 * on after the COMMIT with indexes that are built CONCURRENTLY; here they are built in it, so that
 * a set-up that dies leaves nothing half done. The job table is small: finished jobs are deleted.
 */
export function inOneTransaction(plans: string): string {
  return plans
    .replace(/^\s*(BEGIN|COMMIT);/gm, '')
    .replace(/^\s*SELECT pg_advisory_xact_lock\(.*\);?$/gm, '')
    .replace(/\b(INDEX|REINDEX) CONCURRENTLY\b/g, '$1');
}

/** Undefined where the table is missing, or empty. */
async function readNumber(client: ClientBase, table: string, sql: string): Promise<number | undefined> {
  const { rows } = await client.query<{ exists: boolean }>('SELECT to_regclass($1) IS NOT NULL AS exists', [table]);
  if (!rows[0]?.exists) return undefined;
  const { rows: found } = await client.query<{ n: string | number | null }>(sql);
  const n = found[0]?.n ?? undefined;
  return n === undefined ? undefined : Number(n);
}

function assertNotNewer(name: string, version: number, needed: number): void {
  if (version <= needed) return;
  throw new ConfigError(
    `This database was set up by newer code: ${name} is at ${version}, this code knows ${needed}.\n  Update the code, or use another database.`,
  );
}

function describe(version: number | undefined, needed: number): string {
  return version === undefined ? 'missing' : `version ${version} of ${needed}`;
}
