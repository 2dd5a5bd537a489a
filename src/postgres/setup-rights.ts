import type { ClientBase } from 'pg';
import { ENGINE_SCHEMA } from './migrations.ts';

export interface SearchPath {
  /** Makes `SELECT … FROM workflow_runs` work; undefined if it does. */
  sql: string | undefined;
  /** Whether this role may run it: the owner of the database may. */
  mayExtend: boolean;
}

/** PostgreSQL's own. */
const DEFAULT_SEARCH_PATH = '"$user", public';

export async function planSearchPath(client: ClientBase): Promise<SearchPath> {
  // Of the database, not of this session: what one role has set for itself is not everybody's.
  const { rows } = await client.query<{ path: string | null; database: string; mayExtend: boolean }>(`
    SELECT quote_ident(datname) AS database, pg_has_role(datdba, 'USAGE') AS "mayExtend",
           (SELECT substr(setting, length('search_path=') + 1) FROM pg_db_role_setting, unnest(setconfig) AS setting
            WHERE setdatabase = d.oid AND setrole = 0 AND setting LIKE 'search_path=%') AS path
    FROM pg_database d WHERE datname = current_database()`);
  const { database, mayExtend } = rows[0]!;
  const schemas = schemasIn(rows[0]!.path ?? DEFAULT_SEARCH_PATH);
  if (schemas.includes('workflow')) return { sql: undefined, mayExtend };
  const path = [...schemas, 'workflow'].map(quote).join(', ');
  return { sql: `ALTER DATABASE ${database} SET search_path = ${path}`, mayExtend };
}

/** Of a path as PostgreSQL reads it. What the owner of a database has written there may be more than names, for SQL. */
function schemasIn(path: string): string[] {
  const names = [...path.matchAll(/"((?:[^"]|"")*)"|([^\s,]+)/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain!.toLowerCase(),
  );
  // An empty path is one empty name.
  return names.filter(Boolean);
}

function quote(schema: string): string {
  return schema === 'public' || schema === 'workflow' ? schema : `"${schema.replaceAll('"', '""')}"`;
}

/** The statements that would let this role set up what is missing. */
export async function findMissingOwnership(client: ClientBase, queueSchema: string): Promise<string[]> {
  const { rows } = await client.query<{ statement: string }>(
    `SELECT format('GRANT CREATE ON DATABASE %I TO %I;', current_database(), current_user) AS statement
     WHERE NOT has_database_privilege(current_database(), 'CREATE')
     UNION ALL
     SELECT format('GRANT %I TO %I; -- the owner of the schema %s', r.rolname, current_user, n.nspname)
     FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
     WHERE n.nspname = ANY ($1) AND NOT pg_has_role(n.nspowner, 'USAGE')`,
    [schemasOf(queueSchema)],
  );
  return rows.map(({ statement }) => statement);
}

/** The statements that would let this role read and write what is there. */
export async function findMissingUse(client: ClientBase, queueSchema: string): Promise<string[]> {
  const { rows } = await client.query<{ statement: string }>(
    `SELECT format('GRANT USAGE ON SCHEMA %I TO %I;', nspname, current_user) AS statement
     FROM pg_namespace WHERE nspname = ANY ($1) AND NOT has_schema_privilege(oid, 'USAGE')
     UNION ALL
     -- which version there is, everybody reads, and setup alone writes
     SELECT DISTINCT format('GRANT SELECT%s ON ALL TABLES IN SCHEMA %I TO %I;',
                            CASE WHEN n.nspname = 'workflow_drizzle' THEN '' ELSE ', INSERT, UPDATE, DELETE' END, n.nspname, current_user)
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')
       AND NOT (has_table_privilege(c.oid, 'SELECT') AND (
         c.relname IN ('migrations', 'workflow_migrations') OR has_table_privilege(c.oid, 'INSERT')
           AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')))
     UNION ALL
     SELECT DISTINCT format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %I TO %I;', n.nspname, current_user)
     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname = ANY ($1) AND NOT has_function_privilege(p.oid, 'EXECUTE')`,
    [schemasOf(queueSchema)],
  );
  return rows.map(({ statement }) => statement);
}

function schemasOf(queueSchema: string): string[] {
  return ['workflow', 'workflow_drizzle', queueSchema, ENGINE_SCHEMA];
}
