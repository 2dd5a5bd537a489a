import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { ConfigError } from '../../src/config/config.ts';
import { joinEmbeddedServer } from '../../src/postgres/embedded/server.ts';
import { PROJECT } from '../../tests/support/program.ts';

/** What decides how much a commit costs, and how the rest is served. */
const SETTINGS = ['fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers', 'autovacuum'];

export interface BenchServer extends AsyncDisposable {
  postmaster: number;
  version: string;
  settings: Record<string, string>;
  /** A connection to it, for what is not about one database. */
  client: Client;
  /** Makes it from a template, empty without one; there must be none of this name. */
  createDatabase(name: string, template?: string): Promise<string>;
  dropDatabase(name: string): Promise<void>;
}

/**
 * The embedded PostgreSQL, as it comes, with data of its own.
 * @throws Error where it would not wait for the disk: nothing that it says would count
 */
export async function startServer(): Promise<BenchServer> {
  const directory = join(PROJECT, '.bench');
  await mkdir(directory, { recursive: true });
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await joinEmbeddedServer(directory, { onPort: true }));
  const [postmaster] = (await readFile(join(server.directory, 'data/postmaster.pid'), 'utf8')).split('\n').map(Number);
  const client = await connect(server.connectionString);
  opened.defer(() => client.end());
  await beAlone(client);
  opened.defer(() => dropDatabases(client));
  const settings: Record<string, string> = {};
  for (const name of ['server_version', ...SETTINGS]) {
    const { rows } = await client.query<Record<string, string>>(`SHOW ${name}`);
    settings[name] = rows[0]![name]!;
  }
  for (const name of ['fsync', 'synchronous_commit']) {
    if (settings[name] !== 'on') throw new Error(`${name} is ${settings[name]}: there is nothing to be measured.`);
  }
  const everything = opened.move();
  return {
    postmaster: postmaster!,
    version: settings.server_version!,
    settings,
    client,
    async createDatabase(name, template = 'template0') {
      // Copied as files: of a large one, the WAL would be as large.
      await client.query(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY file_copy`);
      return Object.assign(new URL(server.connectionString), { pathname: `/${name}` }).href;
    },
    async dropDatabase(name) {
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
    [Symbol.asyncDispose]: () => everything.disposeAsync(),
  };
}

/** Two at once would measure each other, and drop each other's databases. */
async function beAlone(client: Client): Promise<void> {
  const { rows } = await client.query<{ alone: boolean }>("SELECT pg_try_advisory_lock(hashtext('bench')) AS alone");
  if (!rows[0]!.alone) throw new ConfigError('Another npm run bench is running here: wait for its end.');
  await dropDatabases(client);
}

/** Also those of one that was killed. */
async function dropDatabases(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT datname AS name FROM pg_database WHERE starts_with(datname, 'bench_')",
  );
  for (const { name } of rows) await client.query(`DROP DATABASE ${name} WITH (FORCE)`);
}

export async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString, application_name: 'bench' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

export async function pidOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]!.pid;
}
