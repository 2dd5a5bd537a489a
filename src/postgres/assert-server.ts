import type { ClientBase } from 'pg';
import { ConfigError } from '../config/config.ts';
import { assertServerVersion } from './server-version.ts';

/** @throws ConfigError with the remedy, for a server or a database on which nothing can work. Call it before anything else is asked. */
export async function assertServer(client: ClientBase): Promise<void> {
  await assertServerVersion(client);
  const { rows } = await client.query<Record<'database' | 'role' | 'encoding' | 'readOnly', string> & Flags>(
    `SELECT quote_ident(current_database()) AS database, quote_ident(current_user) AS role,
            current_setting('server_encoding') AS encoding, current_setting('transaction_read_only') AS "readOnly",
            pg_is_in_recovery() AS standby,
            ARRAY(SELECT nspname::text FROM pg_namespace, aclexplode(nspacl)
                  WHERE nspname IN ('workflow', 'workflow_drizzle', 'workflow_engine') AND grantee = 0
                    AND privilege_type = 'CREATE') AS open`,
  );
  const { database, role, encoding, readOnly, standby, open } = rows[0]!;
  if (encoding !== 'UTF8') {
    throw new ConfigError(
      `The database ${database} is encoded in ${encoding}, which cannot hold every text, and UTF8 is needed.\n` +
        `  Make another one:  CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0;`,
    );
  }
  if (standby) {
    throw new ConfigError(
      'This server is a standby, which is read only.\n  Point WORKFLOW_POSTGRES_URL at the primary (several hosts cannot be given), or promote this one.',
    );
  }
  if (readOnly === 'on') {
    throw new ConfigError(
      'Transactions are read only here (default_transaction_read_only).\n' +
        `  Turn it off for the role:  ALTER ROLE ${role} IN DATABASE ${database} SET default_transaction_read_only = off;`,
    );
  }
  if (open.length > 0) {
    const statements = open.map((schema) => `  REVOKE CREATE ON SCHEMA ${schema} FROM PUBLIC;`).join('\n');
    throw new ConfigError(`Everybody may create in schemas whose functions are executed. Run:\n${statements}`);
  }
}

interface Flags {
  standby: boolean;
  /** Schemas of ours in which everybody may create. */
  open: string[];
}
