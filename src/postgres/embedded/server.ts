import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { connect, connectionStringOf } from './address.ts';
import { findBinaries } from './binaries.ts';
import { initializeCluster, serverProcess } from './cluster.ts';
import { SESSION_SETTINGS } from '../session-settings.ts';
import { lockFile } from './file-lock.ts';
import { locateServer, type ServerLocation } from './location.ts';
import { readPidFile } from './pid-file.ts';
import { keepPresence, PRESENCE } from './presence.ts';
import { reachServer, type ReachOptions } from './reach-server.ts';

const DATABASE = 'workflow_dev';

/** Longer than anybody waits under it. */
const LOCK_PATIENCE_MS = 90_000;

const STOP_PATIENCE_MS = 60_000;
const STOP_INTERVAL_MS = 20;

export interface EmbeddedServer extends AsyncDisposable {
  connectionString: string;
  directory: string;
  /** Where else there is data of this project. */
  other: string | undefined;
}

/**
 * Uses the project's PostgreSQL server: the one that is running, whoever started it, or a new one.
 * Whoever leaves last stops it. A lock on a file makes joining and leaving one at a time.
 */
export async function joinEmbeddedServer(projectRoot: string, options?: ReachOptions): Promise<EmbeddedServer> {
  const location = await locateServer(projectRoot);
  using _lock = await lockServer(location);
  const password = await initializeCluster(location);
  const { address, isNew } = await reachServer(location, password, options);
  const open: Open = async (database) => {
    const client = await connect(connectionStringOf(address, password, database), NAMED);
    await client.query(SESSION_SETTINGS);
    return client;
  };
  const stop = () => stopServer(location, open);
  const presence = await createDatabase(open)
    .then(() => keepPresence(() => open(DATABASE)))
    .catch(async (error: unknown) => {
      // Started for nobody. One that ran before is in use by whoever joined it.
      if (isNew) await stop().catch(() => undefined);
      throw error;
    });

  return {
    connectionString: connectionStringOf(address, password, DATABASE),
    directory: location.directory,
    other: location.other,
    async [Symbol.asyncDispose]() {
      using _leaving = await lockServer(location);
      // Without an answer the server is gone already.
      if ((await presence.leave()) === 0) await stop();
    },
  };
}

const NAMED = { application_name: PRESENCE };

type Open = (database: string) => ReturnType<typeof connect>;

function lockServer({ directory }: ServerLocation): Promise<Disposable> {
  return lockFile(join(directory, 'lock'), LOCK_PATIENCE_MS);
}

async function createDatabase(open: Open): Promise<void> {
  const client = await open('postgres');
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}

/**
 * Has the server end itself: it knows its number where it runs, while here, in another container perhaps, the same
 * number may be another process. Waits until it has.
 */
async function stopServer(location: ServerLocation, open: Open): Promise<void> {
  const data = join(location.directory, 'data');
  if (process.platform === 'win32') {
    const { pgCtl } = await findBinaries(location);
    await promisify(execFile)(pgCtl, ['stop', '-m', 'fast', '-w', '-D', data], serverProcess(location));
    return;
  }
  const client = await open('postgres');
  await client
    .query(`COPY (SELECT) TO PROGRAM 'read -r pid < postmaster.pid && kill -INT "$pid"'`)
    // It may be quicker than its answer.
    .catch(() => undefined);
  await client.end().catch(() => undefined);
  const deadline = performance.now() + STOP_PATIENCE_MS;
  while ((await readPidFile(data)) && performance.now() < deadline) await delay(STOP_INTERVAL_MS);
}
