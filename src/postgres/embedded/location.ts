import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { ConfigError } from '../../config/config.ts';
import { makePrivateFolder } from './private-file.ts';

/** Where a server goes that cannot reach the project: a folder that only root can have made. */
const OUTSIDE = '/var/lib/postgres-world';

/** PostgreSQL refuses to run as root. The second of these exists everywhere, and may be others' too. */
const UNPRIVILEGED_USERS = ['postgres', 'nobody'];

export interface ServerUser {
  uid: number;
  gid: number;
}

export interface ServerLocation {
  /** Holds the data, the password and the lock. */
  directory: string;
  /** Undefined: the user that runs this process. */
  user: ServerUser | undefined;
  /** Where else there is data of this project, of other permissions or another user. */
  other: string | undefined;
}

/**
 * Where the embedded server of a project lives, and as whom it runs: where its data is, whatever has become of
 * permissions since; else in the project; else, for root, outside.
 * @throws ConfigError where the data is out of reach
 */
export async function locateServer(projectRoot: string): Promise<ServerLocation> {
  const inside = join(projectRoot, '.postgres');
  const project = createHash('sha256').update(resolve(projectRoot)).digest('hex').slice(0, 12);
  const outside = join(OUTSIDE, project);
  if (process.getuid?.() !== 0) {
    await makePrivateFolder(inside, undefined);
    const ofRoot = (await stat(outside).catch(() => undefined)) ? outside : undefined;
    return { directory: inside, user: undefined, other: ofRoot };
  }

  const [newest, other] = await placesWithData([inside, outside]);
  if (newest) {
    assertEntered(newest.directory, newest.owner, outside);
    await makePrivateFolder(newest.directory, newest.owner);
    return { directory: newest.directory, user: newest.owner, other: other?.directory };
  }
  const user = serverUser();
  const directory = user && canEnter(projectRoot, user) ? inside : outside;
  if (directory === outside) {
    await mkdir(OUTSIDE, { recursive: true });
    // Whatever the umask: the server has to pass.
    await chmod(OUTSIDE, 0o755);
  }
  await makePrivateFolder(directory, user);
  return { directory, user, other: undefined };
}

/** Those that have data, the one that was used last before the others. */
async function placesWithData(directories: string[]) {
  const places = await Promise.all(
    directories.map(async (directory) => {
      const owner = await stat(join(directory, 'data')).catch(() => undefined);
      if (!owner) return [];
      const used = await stat(join(directory, 'data/global/pg_control')).catch(() => owner);
      return [{ directory, owner: { uid: owner.uid, gid: owner.gid }, usedAt: used.mtimeMs }];
    }),
  );
  return places.flat().toSorted((a, b) => b.usedAt - a.usedAt);
}

function assertEntered(directory: string, user: ServerUser, outside: string): void {
  if (canEnter(dirname(directory), user)) return;
  throw new ConfigError(
    `The data of this project is in ${directory}, which the user that PostgreSQL runs as (uid ${user.uid}) cannot enter any more.\n` +
      '  Give the folders above it their permissions back (chmod o+x), or move it:\n' +
      `  mkdir -p ${OUTSIDE} && mv ${directory} ${outside}`,
  );
}

/** As whom a server has to run; undefined: as this process does. */
export function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of UNPRIVILEGED_USERS) {
    const ask = (option: string) => Number(execFileSync('id', [option, name], { stdio: ['ignore', 'pipe', 'ignore'] }));
    try {
      return { uid: ask('-u'), gid: ask('-g') };
    } catch {
      // There is no such user.
    }
  }
  throw new ConfigError(
    `PostgreSQL does not run as root, and there is no user ${UNPRIVILEGED_USERS.join(' or ')} to run it as.\n` +
      '  Run this as another user, or set WORKFLOW_POSTGRES_URL to a server of your own.',
  );
}

function canEnter(directory: string, user: ServerUser): boolean {
  // In a shell, since Node changes the directory before it changes the user.
  return spawnSync('/bin/sh', ['-c', 'cd "$0"', directory], { ...user, cwd: '/' }).status === 0;
}
