import type { ClientBase } from 'pg';
import { ConfigError } from '../config/config.ts';
import { ENGINE_SCHEMA, ENGINE_VERSION } from './migrations.ts';

const REMEDY = 'Run: npm run postgres-world:setup';

/** @throws ConfigError naming the command that sets the database up, unless that was done for this version */
export async function assertSetUp(client: ClientBase, queueSchema: string): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL',
    [['workflow.workflow_runs', `${queueSchema}.job`, `${ENGINE_SCHEMA}.migrations`]],
  );
  const missing = rows.map(({ name }) => name).join(', ');
  if (missing) throw new ConfigError(`The database is not set up: ${missing} is missing.\n  ${REMEDY}`);
  const applied = await client.query<{ version: number }>(
    `SELECT coalesce(max(version), 0) AS version FROM ${ENGINE_SCHEMA}.migrations`,
  );
  const version = applied.rows[0]?.version ?? 0;
  if (version > ENGINE_VERSION) {
    throw new ConfigError(
      `The database was set up by a newer version of this code (${version}, this is ${ENGINE_VERSION}).\n  Update the code, or use another database.`,
    );
  }
  if (version < ENGINE_VERSION) {
    throw new ConfigError(`The database is at version ${version}, this code needs ${ENGINE_VERSION}.\n  ${REMEDY}`);
  }
}
