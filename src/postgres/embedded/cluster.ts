import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ConfigError } from '../../config/config.ts';
import { SUPERUSER } from './address.ts';
import { findBinaries, withInitdb } from './binaries.ts';
import type { ServerLocation } from './location.ts';

/** Creates the cluster on first use; the password is made here and kept beside it. */
export async function initializeCluster(location: ServerLocation): Promise<string> {
  const { directory } = location;
  const data = join(directory, 'data');
  const passwordFile = join(directory, 'password');
  if (await stat(data).catch(() => undefined)) return readPassword(passwordFile, data);

  const password = randomBytes(18).toString('hex');
  await writePrivate(passwordFile, password);
  const unfinished = `${data}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await initialize(location, unfinished, password);
  await rename(unfinished, data);
  return password;
}

async function initialize(location: ServerLocation, folder: string, password: string): Promise<void> {
  const { directory, user } = location;
  // A copy for initdb, which may run as a user that is to know it now and not later.
  const handedOver = join(directory, 'password.initdb');
  await writePrivate(handedOver, password);
  if (user) for (const path of [folder, handedOver]) await chown(path, user.uid, user.gid);
  const options = ['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', `--username=${SUPERUSER}`];
  try {
    await withInitdb(await findBinaries(location), user, (initdb) =>
      promisify(execFile)(initdb, [`--pgdata=${folder}`, `--pwfile=${handedOver}`, ...options], {
        ...serverProcess(location),
      }),
    );
  } catch (error) {
    throw explainInitdb(error, folder);
  } finally {
    await rm(handedOver);
  }
}

/** What it says itself, for example that its user has no name, as in a container that was given a number. */
function explainInitdb(error: unknown, folder: string): unknown {
  const said = (error as { stderr?: string }).stderr
    ?.split('\n')
    .filter((line) => line && !line.startsWith('initdb: removing'));
  if (!said?.length) return error;
  return new ConfigError(
    `PostgreSQL cannot make its data in ${folder}:\n${said.map((line) => `  ${line}\n`).join('')}` +
      '  Mend that, or set WORKFLOW_POSTGRES_URL to a server of your own.',
    { cause: error },
  );
}

/** How a program of the server is started: with nothing of our environment that could decide about it. */
export function serverProcess({ directory, user }: ServerLocation) {
  return { ...user, cwd: directory, env: { PATH: process.env.PATH, LC_ALL: 'C' } };
}

async function readPassword(file: string, data: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    throw new ConfigError(
      `Cannot read the password of the server on ${data}: ${(cause as Error).message}\n` +
        '  Put the file back, or remove both to begin with an empty server.',
      { cause },
    );
  }
}

/** A new file, so that it has this mode from the beginning. */
async function writePrivate(file: string, password: string): Promise<void> {
  await rm(file, { force: true });
  await writeFile(file, `${password}\n`, { mode: 0o600, flag: 'wx' });
}
