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
import { startCommand, type Program } from './program.ts';
import { until } from './until.ts';

export interface TestServer {
  /** Of its superuser. */
  url: string;
  /** `fast` ends every session, `immediate` is a crash. */
  stop(how: 'fast' | 'immediate'): Promise<void>;
  /** After it was stopped: the same data on the same port. */
  start(): Promise<void>;
}

/**
 * Starts a PostgreSQL with data of its own, for the time of the test.
 * @param binaries the directory of its programs; see postgres-binaries.ts
 * @param certificates turn TLS on
 * @returns the URL of its superuser
 */
export async function startServer(binaries: string, certificates?: Certificates): Promise<string> {
  return (await startStoppableServer(binaries, certificates)).url;
}

/** The same, for tests that take it away and bring it back. */
export async function startStoppableServer(binaries: string, certificates?: Certificates): Promise<TestServer> {
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
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  let server: Program;
  const start = async () => {
    server = startCommand(join(binaries, 'postgres'), ['-D', data, ...options], {
      cwd: directory,
      user: serverUser(),
    });
    await until('the server answers', () => query(url, 'SELECT').catch(() => undefined));
  };
  const stop = async (how: 'fast' | 'immediate') => {
    server.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await server.exited;
  };
  // A server that gets SIGTERM waits for its clients.
  onTestFinished(() => stop('immediate'));
  await start();
  return { url, stop, start };
}
