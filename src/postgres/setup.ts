import type { Client, ClientBase } from 'pg';
import { ConfigError } from '../config/config.ts';
import { assertPgbossIsOurs } from './pgboss-schema.ts';
import { ENGINE_SCHEMA } from './migrations.ts';
import { findMissingOwnership, findMissingUse, planSearchPath, type SearchPath } from './setup-rights.ts';
import { explainHeldLock, lockOutSetups, lockTables, whileHeldUp, type Patience } from './setup-lock.ts';
import { printRoles } from './setup-roles.ts';
import { planSetup, type SetupPart } from './setup-plan.ts';
import { assertServer } from './assert-server.ts';
import { LOCAL_SETTINGS } from './session-settings.ts';
import { withClient } from './with-client.ts';

const PATIENCE: Patience = { patienceMs: 60_000, log: () => undefined };

/** An index is built for as long as it takes. */
function begin(patienceMs: number): string {
  return `BEGIN ISOLATION LEVEL READ COMMITTED;
${LOCAL_SETTINGS.join(';\n')};
SET LOCAL statement_timeout = 0;
${lockOutSetups(patienceMs)}`;
}

/** An index of a large table may be built anew. */
const STATEMENT_PATIENCE_MS = 3_600_000;

export interface SetupReport {
  /** `schema.table` of everything that exists now, sorted. */
  tables: string[];
  /** What this role was not allowed to do, with the statement for somebody who is. */
  leftToDo: string[];
}

export interface SetupCheck {
  parts: SetupPart[];
  /** Statements that give this role what it lacks: to set up what is missing, or to work with what is there. */
  missingRights: string[];
  searchPath: SearchPath;
}

/**
 * Brings the database to the state that this code needs, in one transaction. Idempotent; two
 * processes may run it at once.
 * @throws ConfigError where it would destroy somebody else's pg-boss, where newer code has set it
 * up, and with the statements that help where the role may not
 */
export async function setUpDatabase(
  connectionString: string,
  queueSchema: string,
  patience: Partial<Patience> = {},
): Promise<SetupReport> {
  return withClient(
    connectionString,
    'setup',
    (client) =>
      whileHeldUp(client, (patienceMs) => setUp(client, queueSchema, patienceMs), { ...PATIENCE, ...patience }),
    STATEMENT_PATIENCE_MS,
  );
}

/** What is missing. Changes nothing. */
export async function checkDatabase(connectionString: string, queueSchema: string): Promise<SetupCheck> {
  return withClient(connectionString, 'setup', (client) => check(client, queueSchema));
}

/** The SQL of the roles, for somebody who may create them; see setup-roles.ts. */
export async function describeRoles(connectionString: string, queueSchema: string): Promise<string> {
  return withClient(connectionString, 'setup', (client) => printRoles(client, queueSchema));
}

/**
 * The SQL that {@link setUpDatabase} would run, for psql; undefined if nothing is missing. Changes nothing.
 * @throws ConfigError where the role may not even look
 */
export function printSql({ parts, missingRights, searchPath }: SetupCheck, queueSchema: string): string | undefined {
  if (parts.length === 0) assertAllowed(missingRights);
  const pending = parts.filter(({ sql }) => sql.length > 0);
  if (pending.length === 0 && !searchPath.sql) return undefined;
  const statements = [
    begin(PATIENCE.patienceMs),
    '',
    ...(needsTables(parts)
      ? ['-- if somebody holds them, this waits for two seconds: then run it again', lockTables(queueSchema), '']
      : []),
    ...pending.flatMap(({ name, sql }) => [`-- ${name}`, ...sql, '']),
    'COMMIT',
  ].map((it) => (it === '' || it.startsWith('--') ? it : terminate(it)));
  if (!searchPath.sql) return statements.join('\n');
  const extension = `${searchPath.mayExtend ? '' : '-- for the owner of the database: '}${terminate(searchPath.sql)}`;
  return [...statements, '', '-- table names without the schema', extension].join('\n');
}

async function setUp(client: Client, queueSchema: string, patienceMs: number): Promise<SetupReport> {
  await client.query(begin(patienceMs)).catch((error: Error) => explainHeldLock(client, error));
  const { parts, missingRights, searchPath } = await check(client, queueSchema);
  assertAllowed(missingRights);
  if (needsTables(parts)) await client.query(lockTables(queueSchema));
  for (const statement of parts.flatMap(({ sql }) => sql)) await client.query(statement).catch(explainView);
  const { sql: extension, mayExtend } = searchPath;
  if (extension && mayExtend) await client.query(extension);
  await client.query('COMMIT');
  return {
    tables: await listTables(client, queueSchema),
    leftToDo: extension && !mayExtend ? [`${extension};`] : [],
  };
}

/** A view is no reason to keep anybody waiting. */
function needsTables(parts: readonly SetupPart[]): boolean {
  return parts.some(({ sql, isOptional }) => sql.length > 0 && !isOptional);
}

/** PostgreSQL changes no column that a view shows. */
function explainView(error: Error & { code?: string; detail?: string }): never {
  if (error.code !== '0A000' || !error.detail?.includes(' view ')) throw error;
  throw new ConfigError(
    `A view of yours is in the way: ${error.detail}\n  Drop it, run setup, and make it again. (Nothing was changed.)`,
    { cause: error },
  );
}

function assertAllowed(missingRights: readonly string[]): void {
  if (missingRights.length === 0) return;
  const statements = missingRights.map((statement) => `  ${statement}`).join('\n');
  throw new ConfigError(`This role may not set up the database. Somebody who may has to run:\n${statements}`);
}

/** As {@link checkDatabase}, on a connection that is there. */
export async function check(client: ClientBase, queueSchema: string): Promise<SetupCheck> {
  await assertServer(client);
  await assertPgbossIsOurs(client);
  const searchPath = await planSearchPath(client);
  const missingUse = await findMissingUse(client, queueSchema);
  // Without these, what there is cannot even be looked at.
  if (missingUse.length > 0) return { parts: [], missingRights: missingUse, searchPath };
  const parts = await planSetup(client, queueSchema);
  const isComplete = parts.every(({ sql }) => sql.length === 0);
  const missingRights = isComplete ? [] : await findMissingOwnership(client, queueSchema);
  return { parts, missingRights, searchPath };
}

function terminate(statement: string): string {
  const text = statement.trim();
  return text.endsWith(';') ? text : `${text};`;
}

async function listTables(client: Client, queueSchema: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT n.nspname || '.' || c.relname AS name
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
     ORDER BY 1`,
    [['workflow', ENGINE_SCHEMA, queueSchema, 'pgboss']],
  );
  return rows.map(({ name }) => name);
}
