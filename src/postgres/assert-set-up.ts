import type { ClientBase } from 'pg';
import { ConfigError } from '../config/config.ts';
import { check } from './setup.ts';

/**
 * @throws ConfigError naming what is missing and the command that helps, unless the database was set
 * up for this version
 */
export async function assertSetUp(client: ClientBase, queueSchema: string): Promise<void> {
  const { parts, missingRights } = await check(client, queueSchema);
  if (parts.length === 0 && missingRights.length > 0) {
    throw new ConfigError(
      'The role of WORKFLOW_POSTGRES_URL lacks rights.\n  See which: npm run postgres-world:setup -- --check',
    );
  }
  const missing = parts.filter(({ sql, isOptional }) => sql.length > 0 && !isOptional);
  if (missing.length === 0) return;
  const lines = missing.map(({ name, found }) => `  ${name}: ${found}`);
  throw new ConfigError(`The database is not set up:\n${lines.join('\n')}\n  Run: npm run postgres-world:setup`);
}
