import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
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
  const server = opened.use(await joinEmbeddedServer(directory));
  const [postmaster] = (await readFile(join(server.directory, 'data/postmaster.pid'), 'utf8')).split('\n').map(Number);
  const client = await connect(server.connectionString);
  opened.defer(() => client.end());
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
      // Left over by one that was killed.
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      await client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
      return Object.assign(new URL(server.connectionString), { pathname: `/${name}` }).href;
    },
    async dropDatabase(name) {
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
    [Symbol.asyncDispose]: () => everything.disposeAsync(),
  };
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
