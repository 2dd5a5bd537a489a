import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serverUser } from '../../src/postgres/embedded/location.ts';
import { createServerDirectory } from './directory.ts';
import { freePort } from '../../src/postgres/embedded/free-port.ts';
import { debianPgbouncer } from './postgres-binaries.ts';
import { startCommand } from './program.ts';

/**
 * Starts Debian's PgBouncer before the server of a URL, for the time of the test.
 * @returns the same URL through it
 */
export async function startPgbouncer(url: string, mode: 'transaction' | 'session' = 'transaction'): Promise<string> {
  const pgbouncer = await debianPgbouncer();
  const { hostname, port, username, password } = new URL(url);
  const directory = await createServerDirectory();
  const listenPort = await freePort();
  const file = join(directory, 'pgbouncer.ini');
  await writeFile(
    file,
    `[databases]
* = host=${hostname} port=${port} user=${username} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
; fewer sessions than clients, so that they really are lent to one after the other
default_pool_size = ${mode === 'session' ? 20 : 5}
max_client_conn = 200
`,
    { mode: 0o600 },
  );
  const user = serverUser();
  if (user) await chown(file, user.uid, user.gid);
  await startCommand(pgbouncer, [file], { cwd: directory, user }).says('process up');
  return Object.assign(new URL(url), { port: listenPort }).href;
}
