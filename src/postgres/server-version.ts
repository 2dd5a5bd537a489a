import type { ClientBase } from 'pg';
import { ConfigError } from '../config/config.ts';

/** What pg-boss and `DROP DATABASE … WITH (FORCE)` need. */
const OLDEST_MAJOR_VERSION = 13;

/** @throws ConfigError naming the version found, for a server that is too old. Call it before anything else is asked. */
export async function assertServerVersion(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ number: number; name: string }>(
    `SELECT current_setting('server_version_num')::integer AS number, current_setting('server_version') AS name`,
  );
  const { number, name } = rows[0]!;
  if (number >= OLDEST_MAJOR_VERSION * 10_000) return;
  throw new ConfigError(
    `This server is PostgreSQL ${name}, and PostgreSQL ${OLDEST_MAJOR_VERSION} or newer is needed.\n` +
      '  Upgrade it, point WORKFLOW_POSTGRES_URL at a newer one, or unset that variable to use the embedded server.',
  );
}
