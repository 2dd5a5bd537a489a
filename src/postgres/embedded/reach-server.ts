import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ConfigError } from '../../config/config.ts';
import { connect, connectionStringOf, isSocket, socketAddress, type Address } from './address.ts';
import type { ServerLocation } from './location.ts';
import { disownPidFile, readPidFile, type PidFile } from './pid-file.ts';
import { startServer, type Starting } from './start-server.ts';

/** How long a server may take to answer that is there: it may be recovering, or ending. */
const PATIENCE_MS = 60_000;
/** How long one may keep others from the data and listen nowhere: it begins, or what was killed has to end. */
const ABSENCE_PATIENCE_MS = 10_000;
const ANSWER_PATIENCE_MS = 5_000;
const LOOK_INTERVAL_MS = 100;
const START_INTERVAL_MS = 1_000;

/** What PostgreSQL says where a file system has no sockets. */
const NO_SOCKET = 'could not create any Unix-domain sockets';

/** What it says when it takes another one for the server on these data. */
const IN_USE = /lock file .* already exists|shared memory block .* is still in use/;

export interface Reached {
  address: Address;
  /** Whether it was started here. */
  isNew: boolean;
}

export interface ReachOptions {
  /** Listen on a port, as where there are no sockets. */
  onPort?: boolean;
  patienceMs?: number;
  absencePatienceMs?: number;
}

/** refused, missing: nobody listens on the socket, or it is not there. silent: somebody does, and does not answer. */
type Finding = Address | 'refused' | 'missing' | 'silent' | 'not ready';

/**
 * Finds the server that runs on the data, or starts one. Who answers on the socket in their folder is their server:
 * nothing is concluded from numbers or names of processes. Where nobody answers, one is started, and PostgreSQL
 * itself finds out by its pid file whether that may be.
 *
 * | what is there                                    | then                                                          |
 * | ------------------------------------------------ | ------------------------------------------------------------- |
 * | a server, of whatever process or container       | it is used                                                    |
 * | one that starts, recovers or ends                | it says so, and is waited for; when it has ended, a new one    |
 * | one that is stopped (SIGSTOP)                    | an error with the remedy; nothing is touched                   |
 * | one whose socket somebody has removed            | PostgreSQL refuses to start another: the same                  |
 * | one of an earlier version, on a port             | it is used, if it proves by SCRAM to know the password         |
 * | its pid file, the process is gone                | PostgreSQL starts: it removes the file when no process is left |
 * | its pid file, another process has its number     | see pid-file.ts; where in doubt, an error with the remedy      |
 * | somebody else on its port                        | gets no password; a server is started, elsewhere               |
 */
export async function reachServer(
  location: ServerLocation,
  password: string,
  { onPort = false, patienceMs = PATIENCE_MS, absencePatienceMs = ABSENCE_PATIENCE_MS }: ReachOptions = {},
): Promise<Reached> {
  const data = join(location.directory, 'data');
  const socket = onPort ? undefined : socketAddress(data);
  const begin = performance.now();
  let withoutSocket = socket === undefined;
  let started: Starting | undefined;
  for (;;) {
    const pidFile = await readPidFile(data);
    const finding = await look(socket, pidFile, password);
    if (typeof finding === 'object') return { address: finding, isNew: started?.running ?? false };
    const isAbsent = (finding === 'missing' || finding === 'refused') && !started?.running;
    const words = isAbsent ? await started?.lastWords() : undefined;
    if (words !== undefined && !IN_USE.test(words)) {
      if (withoutSocket || !words.includes(NO_SOCKET)) throw new ConfigError(notStarted(location, words));
      withoutSocket = true;
    }
    if (performance.now() - begin > (isAbsent ? absencePatienceMs : patienceMs)) {
      throw new ConfigError(inDoubt(data, finding, pidFile, words));
    }
    if (isAbsent) {
      if (started) await delay(START_INTERVAL_MS);
      await disownPidFile(data, pidFile, finding === 'refused');
      started = await startServer(location, withoutSocket);
    }
    await delay(LOOK_INTERVAL_MS);
  }
}

async function look(socket: Address | undefined, pidFile: PidFile | undefined, password: string): Promise<Finding> {
  const finding = socket ? await ask(socket, password) : 'missing';
  if (finding !== 'missing' && finding !== 'refused') return finding;
  if (pidFile?.tcpPort === undefined) return finding;
  // Whoever listens there now: it must be ours to be believed.
  const onPort = await ask({ host: '127.0.0.1', port: pidFile.tcpPort }, password).catch(() => finding);
  return onPort === 'refused' || onPort === 'silent' ? finding : onPort;
}

async function ask(address: Address, password: string): Promise<Finding> {
  try {
    const url = connectionStringOf(address, password, 'postgres');
    const client = await connect(url, { connectionTimeoutMillis: ANSWER_PATIENCE_MS });
    await client.end();
    return address;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'missing';
    if (code === 'ECONNREFUSED') return 'refused';
    // Starting, ending; or as many clients as it can have.
    if (code === '57P03' || code === '53300') return 'not ready';
    // Nothing came, or the connection was cut in the moment of its end.
    if (/timeout expired/.test(message) || code === 'EAGAIN') return 'silent';
    if (isSocket(address) && /Connection terminated|ECONNRESET|EPIPE/.test(message)) return 'not ready';
    throw error;
  }
}

function notStarted({ directory }: ServerLocation, words: string): string {
  return `The embedded PostgreSQL did not start; the end of ${join(directory, 'server.log')}:\n${words}`;
}

function inDoubt(data: string, finding: Finding, left: PidFile | undefined, words = ''): string {
  const pid = left?.pid ? `process ${left.pid}` : 'a process';
  if (finding === 'silent' || finding === 'not ready') {
    const how = finding === 'silent' ? 'does not answer' : 'is still starting or ending';
    return (
      `The embedded PostgreSQL on ${data} (${pid}) ${how}; it is left as it is.\n` +
      `  Try again later. One that was paused, continue: kill -CONT ${left?.pid ?? 'PID'}`
    );
  }
  return (
    `Nobody can be reached on ${data}, but PostgreSQL takes ${pid} for a server on it, and so nothing was touched:\n` +
    `${words}\n` +
    `  If that is a server, of an earlier version perhaps, or one whose socket was removed, end it: kill -INT ${left?.pid ?? 'PID'}\n` +
    `  If it is not, and no container has these data in use, remove ${join(data, 'postmaster.pid')}`
  );
}
