import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFile, chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { isTransient, retryTransient } from '../transient.ts';
import { lockFile } from './file-lock.ts';
import { freePort } from './free-port.ts';
import { locateServer, type ServerLocation } from './location.ts';
import { keepPresence, PRESENCE } from './presence.ts';

const DATABASE = 'workflow_dev';
const USER = 'workflow';

const LOCK_PATIENCE_MS = 90_000;
/** How long a server that we find running may take to answer: it may be recovering. */
const ADOPTION_PATIENCE_MS = 10_000;

const BACKENDS_EXIT_MS = 1_000;

const SETTINGS = `
# Set by this project: reachable from this machine only.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
`;

export interface EmbeddedServer extends AsyncDisposable {
  connectionString: string;
  directory: string;
}

/**
 * Uses the project's PostgreSQL server: the one that is running, whoever started it, or a new one.
 * Whoever leaves last stops it. A lock on a file makes joining and leaving one at a time.
 */
export async function joinEmbeddedServer(projectRoot: string): Promise<EmbeddedServer> {
  const location = await locateServer(projectRoot);
  using _lock = await lockServer(location);
  const password = await initialize(location);
  const running = await runningPort(location, password);
  const port = running ?? (await start(location));
  const connect = (database: string) => open(port, password, database, PRESENCE);
  const stop = () => pgCtl(location, ['stop', '-m', 'fast', '-w']);
  const presence = await createDatabase(connect)
    .then(() => keepPresence(() => connect(DATABASE)))
    .catch(async (error: unknown) => {
      // Started for nobody. One that ran before is in use by whoever joined it.
      if (running === undefined) await stop().catch(() => undefined);
      throw error;
    });

  return {
    connectionString: `postgres://${USER}:${password}@127.0.0.1:${port}/${DATABASE}`,
    directory: location.directory,
    async [Symbol.asyncDispose]() {
      using _leaving = await lockServer(location);
      // Without an answer the server is gone already.
      if ((await presence.leave()) === 0) await stop();
    },
  };
}

function lockServer({ directory }: ServerLocation): Promise<Disposable> {
  return lockFile(join(directory, 'lock'), LOCK_PATIENCE_MS);
}

/** Creates the cluster on first use; the password is made here and kept beside it. */
async function initialize(location: ServerLocation): Promise<string> {
  const { directory, user, initdb } = location;
  const data = join(directory, 'data');
  const passwordFile = join(directory, 'password');
  if (await stat(data).catch(() => undefined)) return (await readFile(passwordFile, 'utf8')).trim();

  const password = randomBytes(18).toString('hex');
  const unfinished = `${data}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  // A copy for initdb, which may run as a user that is to know it now and not later.
  const handedOver = `${passwordFile}.initdb`;
  await writeFile(handedOver, `${password}\n`, { mode: 0o600 });
  if (user) for (const path of [unfinished, handedOver]) await chown(path, user.uid, user.gid);
  const options = ['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', `--username=${USER}`];
  try {
    await run(location, initdb, [`--pgdata=${unfinished}`, `--pwfile=${handedOver}`, ...options]);
  } finally {
    await rm(handedOver);
  }
  await appendFile(join(unfinished, 'postgresql.conf'), SETTINGS);
  await rename(unfinished, data);
  return password;
}

/** The port of the server that runs on our data, if one does; one that does not answer is stopped. */
async function runningPort(location: ServerLocation, password: string): Promise<number | undefined> {
  const pidFile = join(location.directory, 'data', 'postmaster.pid');
  const [pid, , , port] = (await readFile(pidFile, 'utf8').catch(() => '')).split('\n').map(Number);
  if (!pid || !port) return undefined;
  if (!(await isServerOf(location, pid))) {
    // Left over by one that was killed. PostgreSQL sees to that itself, unless the number has been taken by
    // another process, or the dead one was not reaped yet. Its backends notice within this time.
    await delay(BACKENDS_EXIT_MS);
    await rm(pidFile, { force: true });
    return undefined;
  }
  try {
    const client = await retryTransient(() => open(port, password, 'postgres', 'postgres-world'), ADOPTION_PATIENCE_MS);
    await client.end();
    return port;
  } catch (error) {
    if (!isTransient(error)) throw error;
    await pgCtl(location, ['stop', '-m', 'immediate', '-w']).catch(() => undefined);
    return undefined;
  }
}

/** Whether a process is the server on our data: nothing is done to any other. */
async function isServerOf({ directory }: ServerLocation, pid: number): Promise<boolean> {
  try {
    const { stdout } = await promisify(execFile)('ps', ['-ww', '-o', 'args=', '-p', String(pid)]);
    return stdout.includes('postgres') && stdout.includes(join(directory, 'data'));
  } catch (error) {
    // 1: there is no such process. Anything else, and we cannot know.
    return (error as { code?: number | string }).code !== 1;
  }
}

async function start(location: ServerLocation): Promise<number> {
  const port = await freePort();
  const log = join(location.directory, 'data', 'server.log');
  await pgCtl(location, ['start', '-w', '-t', '60', '-l', log, '-o', `-p ${port}`]).catch(async (cause: Error) => {
    const tail = (await readFile(log, 'utf8').catch(() => '')).split('\n').slice(-10).join('\n');
    throw new Error(`The embedded PostgreSQL did not start; the end of ${log}:\n${tail}`, { cause });
  });
  return port;
}

async function createDatabase(connect: (database: string) => Promise<Client>): Promise<void> {
  const client = await connect('postgres');
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}

async function open(port: number, password: string, database: string, application_name: string): Promise<Client> {
  const client = new Client({ host: '127.0.0.1', port, user: USER, password, database, application_name });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

function pgCtl(location: ServerLocation, args: string[]): Promise<unknown> {
  return run(location, location.pgCtl, [...args, '-D', join(location.directory, 'data')]);
}

function run({ directory, user }: ServerLocation, command: string, args: string[]): Promise<unknown> {
  return promisify(execFile)(command, args, { ...user, cwd: directory, env: { PATH: process.env.PATH, LC_ALL: 'C' } });
}
