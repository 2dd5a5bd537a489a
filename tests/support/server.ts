import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { serverUser } from '../../src/postgres/embedded/location.ts';
import type { Certificates } from './certificates.ts';
import { query } from './database.ts';
import { createServerDirectory } from './directory.ts';
import { freePort } from '../../src/postgres/embedded/free-port.ts';
import { startCommand } from './program.ts';
import { until } from './until.ts';

/**
 * Starts a PostgreSQL with data of its own, for the time of the test.
 * @param binaries the directory of its programs; see postgres-binaries.ts
 * @param certificates turn TLS on
 * @returns the URL of its superuser
 */
export async function startServer(binaries: string, certificates?: Certificates): Promise<string> {
  const directory = await createServerDirectory();
  const data = join(directory, 'data');
  const password = randomBytes(12).toString('hex');
  const passwordFile = join(directory, 'password');
  await writeFile(passwordFile, password);
  await chmod(passwordFile, 0o644);
  await promisify(execFile)(
    join(binaries, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8', '--locale=C', '-N'],
    { ...serverUser(), cwd: directory },
  );

  const port = await freePort();
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: directory,
    port,
    fsync: 'off',
    ...(certificates && { ssl: 'on', ssl_cert_file: certificates.certificate, ssl_key_file: certificates.key }),
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = startCommand(join(binaries, 'postgres'), ['-D', data, ...options], {
    cwd: directory,
    user: serverUser(),
  });
  // A server that gets SIGTERM waits for its clients.
  onTestFinished(async () => {
    server.kill('SIGQUIT');
    await server.exited;
  });
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  await until('the server answers', () => query(url, 'SELECT').catch(() => undefined));
  return url;
}
