import { closeSync, constants, existsSync, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientConfig } from 'pg';
import { Client } from '../client.ts';

export const SUPERUSER = 'workflow';

/** As pg and psql take it: a folder with a socket, or an address. */
export interface Address {
  host: string;
  port: number;
}

/** Part of the name of a socket. */
export const SOCKET_PORT = 5432;
export const SOCKET_NAME = `.s.PGSQL.${SOCKET_PORT}`;

/** What the kernel has room for. */
const LONGEST_PATH = process.platform === 'linux' ? 107 : 103;

/**
 * The socket of the server on these data: in their folder, which PostgreSQL keeps for its user alone, so that nobody
 * else can answer there, and which no cleaning of temporary folders removes.
 * @returns undefined where there are no sockets, or none with so long a path
 */
export function socketAddress(data: string): Address | undefined {
  if (process.platform === 'win32') return undefined;
  const host = Buffer.byteLength(join(data, SOCKET_NAME)) <= LONGEST_PATH ? data : shortPath(data);
  return host === undefined ? undefined : { host, port: SOCKET_PORT };
}

const opened = new Map<string, number>();

/** The folder by its number among those that this process has open; good while it lives, for its children too. */
function shortPath(data: string): string | undefined {
  if (!existsSync(`/proc/${process.pid}/fd`)) return undefined;
  let folder = opened.get(data);
  if (folder !== undefined && fstatSync(folder).ino !== statSync(data).ino) {
    closeSync(folder);
    folder = undefined;
  }
  folder ??= openSync(data, constants.O_RDONLY | constants.O_DIRECTORY);
  opened.set(data, folder);
  return `/proc/${process.pid}/fd/${folder}`;
}

export function isSocket({ host }: Address): boolean {
  return host.startsWith('/');
}

/** On a port anybody may answer: there, the password is proved, not told. */
export function connectionStringOf({ host, port }: Address, password: string, database: string): string {
  const url = `postgres://${SUPERUSER}:${password}@${encodeURIComponent(host)}:${port}/${database}`;
  return isSocket({ host, port }) ? url : `${url}?require_auth=scram-sha-256`;
}

export async function connect(connectionString: string, options: ClientConfig): Promise<Client> {
  const client = new Client({ connectionString, ...options });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    // Where pg itself gives up, it leaves the connection open.
    (client as Client & { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    throw error;
  }
}
