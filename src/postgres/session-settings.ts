import type { ClientBase } from 'pg';
import { ConfigError } from '../config/config.ts';
import { SEARCH_PATH } from './own-names.ts';

/**
 * UTC, because world-postgres keeps times without a zone and writes them from both clocks. The one
 * setting of a session that holds behind PgBouncer, which remembers the time zone of each client.
 */
const TIME_ZONE = `SET TIME ZONE 'UTC'`;

/** A little longer than pg waits for an answer: what nobody waits for any more ends. */
const STATEMENT_TIMEOUT = '35s';

interface Setting {
  name: string;
  value: string;
  /** Whether it works with what the server, the database or the role has instead; undefined: with everything. */
  accepts?: (found: string) => boolean;
  /** Before this version the server does not know it. */
  since?: number;
}

/** What a database or a role may have been given otherwise (ALTER DATABASE … SET, ALTER ROLE … SET). */
const SETTINGS: readonly Setting[] = [
  // Functions of ours wait for a lock, and then read what was committed meanwhile.
  { name: 'default_transaction_isolation', value: 'read committed', accepts: (found) => found === 'read committed' },
  // How values are read and written.
  { name: 'DateStyle', value: 'ISO', accepts: (found) => found.startsWith('ISO') },
  { name: 'IntervalStyle', value: 'postgres' },
  { name: 'bytea_output', value: 'hex' },
  { name: 'extra_float_digits', value: '1', accepts: (found) => Number(found) >= 0 },
  { name: 'array_nulls', value: 'on', accepts: isOn },
  { name: 'standard_conforming_strings', value: 'on', accepts: isOn },
  { name: 'quote_all_identifiers', value: 'off' },
  // Ours are in the statements and functions that need them; a session that listens says nothing for hours.
  { name: 'statement_timeout', value: STATEMENT_TIMEOUT, accepts: isAtLeast(5_000) },
  { name: 'lock_timeout', value: '0', accepts: isAtLeast(1_000) },
  // What a process holds that stops in setup's transaction, or in another that names no time.
  { name: 'idle_in_transaction_session_timeout', value: '30s', accepts: isAtLeast(1_000) },
  { name: 'idle_session_timeout', value: '0', since: 140_000 },
  { name: 'transaction_timeout', value: '0', since: 170_000, accepts: isAtLeast(5_000) },
  // Many short statements: nothing of theirs is worth compiling, or planning anew.
  { name: 'jit', value: 'off' },
  { name: 'plan_cache_mode', value: 'auto' },
];

/** What a transaction has so, as statements. */
export const LOCAL_SETTINGS = settings('SET LOCAL', true);

/** For a session that is ours alone: nothing of the database or of the role decides. One message. */
export const SESSION_SETTINGS = [TIME_ZONE, ...settings('SET', false)].join('; ');

function settings(set: 'SET' | 'SET LOCAL', isLocal: boolean): string[] {
  return [
    `${set} search_path = ${SEARCH_PATH}`,
    ...SETTINGS.map(({ name, value, since }) =>
      since === undefined
        ? `${set} ${name} = '${value}'`
        : `SELECT set_config('${name}', '${value}', ${isLocal}) WHERE current_setting('server_version_num')::integer >= ${since}`,
    ),
    // What was recorded is on disk. Who waits for standbys, too, does so here as well.
    `SELECT set_config('synchronous_commit', 'on', ${isLocal}) WHERE current_setting('synchronous_commit') = 'off'`,
  ];
}

/** For a pooler's client. */
export const POOLED_SETTINGS = TIME_ZONE;

/**
 * Behind a pooler no session is ours to set: what would not work is named.
 * @throws ConfigError with the statement that helps
 */
export async function assertPooledSettings(client: ClientBase): Promise<void> {
  const checked: Setting[] = [
    ...SETTINGS,
    { name: 'synchronous_commit', value: 'on', accepts: (found) => found !== 'off' },
  ];
  const { rows } = await client.query<{ name: string; setting: string; role: string }>(
    'SELECT name, setting, quote_ident(current_user) AS role FROM pg_settings WHERE name = ANY ($1)',
    [checked.map(({ name }) => name)],
  );
  const wrong = rows.flatMap(({ name, setting, role }) => {
    const { value, accepts } = checked.find((it) => it.name === name)!;
    return accepts && !accepts(setting)
      ? [`  ${name} = ${setting}:  ALTER ROLE ${role} SET ${name} = '${value}';`]
      : [];
  });
  if (wrong.length === 0) return;
  throw new ConfigError(
    `Behind a pooler, the settings of the database and of the role hold, and these do not work:\n${wrong.join('\n')}\n` +
      '  Then have the pooler connect anew (RECONNECT in PgBouncer’s console), or set WORKFLOW_POSTGRES_URL to one past the pooler.',
  );
}

function isOn(found: string): boolean {
  return found === 'on';
}

/** @param ms as PostgreSQL shows times; 0 is none */
function isAtLeast(ms: number) {
  return (found: string) => found === '0' || Number(found) >= ms;
}
