import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onEnd } from './on-end.ts';
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
  /**
   * After it was stopped: the same data on the same port, until it answers.
   * @param more settings; with `hot_standby: 'off'`, a standby never does
   */
  start(more?: Record<string, string>): Promise<void>;
  /** Makes a standby of it, which a stopped one becomes when it is started; and what ends that. */
  standBy(): Promise<void>;
  promote(): Promise<void>;
}

export interface ServerOptions {
  settings?: Record<string, string | number>;
  /** Called with the directory that will have the data in `data`. Returns options for initdb. */
  prepare?(directory: string): Promise<string[]>;
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
export async function startStoppableServer(
  binaries: string,
  certificates?: Certificates,
  { settings: given = {}, prepare = async () => [] }: ServerOptions = {},
): Promise<TestServer> {
  const directory = await createServerDirectory();
  const data = join(directory, 'data');
  const password = randomBytes(12).toString('hex');
  const passwordFile = join(directory, 'password');
  await writeFile(passwordFile, password);
  await chmod(passwordFile, 0o644);
  const execute = (program: string, ...args: string[]) =>
    promisify(execFile)(join(binaries, program), ['-D', data, ...args], { ...serverUser(), cwd: directory });
  const options = [
    '-U',
    'postgres',
    '-A',
    'scram-sha-256',
    `--pwfile=${passwordFile}`,
    '-E',
    'UTF8',
    '--locale=C',
    '-N',
  ];
  await execute('initdb', ...options, ...(await prepare(directory)));

  const port = await freePort();
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: directory,
    port,
    fsync: 'off',
    ...given,
    ...(certificates && { ssl: 'on', ssl_cert_file: certificates.certificate, ssl_key_file: certificates.key }),
  };
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  let server: Program;
  const start = async (more: Record<string, string> = {}) => {
    const all = Object.entries({ ...settings, ...more }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    server = startCommand(join(binaries, 'postgres'), ['-D', data, ...all], {
      cwd: directory,
      user: serverUser(),
    });
    const answers = () =>
      query(url, 'SELECT').catch(({ code }: { code?: string }) => code === '57P03' && more.hot_standby);
    await until('the server answers', answers);
  };
  const stop = async (how: 'fast' | 'immediate') => {
    server.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await server.exited;
  };
  // A server that gets SIGTERM waits for its clients.
  onEnd(() => stop('immediate'));
  await start();
  return {
    url,
    stop,
    start,
    standBy: () => writeFile(join(data, 'standby.signal'), ''),
    promote: async () => void (await execute('pg_ctl', 'promote', '-W')),
  };
}
