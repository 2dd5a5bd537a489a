import type { ClientBase } from 'pg';
import { ENGINE_SCHEMA } from './migrations.ts';

/** For whom nothing is set up yet; who has, stays the owner. */
const OWNER = 'workflow_owner';
const WORKER = 'workflow_worker';

/** Say which version a schema has. Whoever runs workflows reads them. */
const VERSIONS = [`${ENGINE_SCHEMA}.migrations`, 'workflow_drizzle.workflow_migrations'];

const ROWS = 'SELECT, INSERT, UPDATE, DELETE';

/**
 * The SQL of two roles: one that sets up, and owns what it makes; and one for everything else (workers, those who
 * start runs, commands, tools), which cannot change a schema. For somebody who may create roles; before setup and
 * after it. Changes nothing.
 */
export async function printRoles(client: ClientBase, queueSchema: string): Promise<string> {
  const { rows } = await client.query<{ database: string; owner: string | null; roles: string[]; tables: string[] }>(
    `SELECT quote_ident(current_database()) AS database,
            (SELECT rolname FROM pg_namespace n JOIN pg_roles r ON r.oid = nspowner WHERE nspname = $1) AS owner,
            ARRAY(SELECT rolname::text FROM pg_roles) AS roles,
            ARRAY(SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname || '.' || c.relname = ANY ($2) ORDER BY 1) AS tables`,
    [ENGINE_SCHEMA, VERSIONS],
  );
  const { database, roles, tables } = rows[0]!;
  const owner = rows[0]!.owner === null ? OWNER : quote(rows[0]!.owner);
  const schemas = ['workflow', 'workflow_drizzle', queueSchema, ENGINE_SCHEMA];
  const create = (role: string) =>
    roles.includes(role) ? [] : [`CREATE ROLE ${role} LOGIN; -- give it a password: \\password ${role}`];
  const existing = schemas.flatMap((schema) => [
    `GRANT USAGE ON SCHEMA ${schema} TO ${WORKER};`,
    `GRANT ${ROWS} ON ALL TABLES IN SCHEMA ${schema} TO ${WORKER};`,
    `GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${WORKER};`,
    `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} TO ${WORKER};`,
  ]);
  return [
    '-- Nobody but these: what everybody may do by default is taken away',
    `REVOKE CONNECT, TEMPORARY ON DATABASE ${database} FROM PUBLIC;`,
    'REVOKE ALL ON SCHEMA public FROM PUBLIC;',
    '',
    `-- ${owner} sets up, and owns what it makes: postgres-world:setup`,
    ...(owner === OWNER
      ? [
          ...create(OWNER),
          `GRANT CONNECT, CREATE ON DATABASE ${database} TO ${owner};`,
          `GRANT USAGE, CREATE ON SCHEMA public TO ${owner};`,
        ]
      : []),
    '',
    `-- ${WORKER} does everything else: it reads and writes rows, and cannot change a schema`,
    ...create(WORKER),
    `GRANT CONNECT ON DATABASE ${database} TO ${WORKER};`,
    '-- of what setup makes from now on',
    `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} GRANT USAGE ON SCHEMAS TO ${WORKER};`,
    `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} GRANT ${ROWS} ON TABLES TO ${WORKER};`,
    `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} GRANT USAGE ON SEQUENCES TO ${WORKER};`,
    `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} GRANT EXECUTE ON FUNCTIONS TO ${WORKER};`,
    ...(tables.length === VERSIONS.length
      ? ['-- of what it has made', ...existing, `REVOKE INSERT, UPDATE, DELETE ON ${tables.join(', ')} FROM ${WORKER};`]
      : ['', `-- After setup, once more: what it has made then, this prints too.`]),
  ].join('\n');
}

function quote(role: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(role) ? role : `"${role.replaceAll('"', '""')}"`;
}
