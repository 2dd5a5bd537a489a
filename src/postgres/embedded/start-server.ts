import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SOCKET_PORT } from './address.ts';
import { findBinaries } from './binaries.ts';
import { serverProcess } from './cluster.ts';
import { freePort } from './free-port.ts';
import type { ServerLocation } from './location.ts';
import { SOCKET_FOLDER } from './pid-file.ts';
import { createPrivateFile } from './private-file.ts';

/** Given at the start, and not in a file: data that an earlier version has made are served alike. */
const SETTINGS = { max_connections: '200', unix_socket_permissions: '0700' };

export interface Starting {
  readonly running: boolean;
  /** The end of its log. */
  lastWords(): Promise<string>;
}

/**
 * Starts PostgreSQL on the data, for itself: it survives this process. Directly, since pg_ctl does it through a
 * shell, for which characters of a path have a meaning.
 * @param onPort listen on a port of 127.0.0.1 instead of a socket
 */
export async function startServer(location: ServerLocation, onPort: boolean): Promise<Starting> {
  const log = join(location.directory, 'server.log');
  createPrivateFile(log);
  const { O_APPEND, O_WRONLY, O_NOFOLLOW } = constants;
  const output = await open(log, O_APPEND | O_WRONLY | O_NOFOLLOW);
  const { size: begin } = await output.stat();
  const where = onPort
    ? { listen_addresses: '127.0.0.1', unix_socket_directories: '', port: await freePort() }
    : { listen_addresses: '', unix_socket_directories: SOCKET_FOLDER, port: SOCKET_PORT };
  const options = Object.entries({ ...SETTINGS, ...where }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const { postgres } = await findBinaries(location);
  const child = spawn(postgres, ['-D', join(location.directory, 'data'), ...options], {
    ...serverProcess(location),
    // Ctrl+C in our terminal is not for it.
    detached: true,
    stdio: ['ignore', output.fd, output.fd],
  });
  let running = true;
  child.once('exit', () => (running = false));
  child.once('error', () => (running = false));
  child.unref();
  await output.close();
  return {
    get running() {
      return running;
    },
    async lastWords() {
      const words = (await readFile(log)).subarray(begin).toString();
      return words.trimEnd().split('\n').slice(-10).join('\n');
    },
  };
}
