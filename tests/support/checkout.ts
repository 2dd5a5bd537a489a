import { execFileSync } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { locateServer } from '../../src/postgres/embedded/location.ts';
import { listProcesses } from './processes.ts';
import { PROJECT } from './program.ts';
import { until } from './until.ts';

/**
 * A copy of the project, with the same node_modules and an embedded server of its own.
 * @param mode of its folder: 0o700 for one that only its owner can enter
 * @returns its folder, and the one of its server: outside, where the server's user cannot reach it
 */
export async function createCheckout(mode: number): Promise<{ checkout: string; serverDirectory: string }> {
  const checkout = await realpath(await mkdtemp(join(tmpdir(), 'postgres-world-checkout-')));
  await chmod(checkout, mode);
  await copyFiles(checkout);
  await symlink(join(PROJECT, 'node_modules'), join(checkout, 'node_modules'));
  const { directory: serverDirectory } = await locateServer(checkout);
  onTestFinished(async () => {
    const stopped = async () => (await postmasters(serverDirectory)).length === 0;
    await until('the embedded server has stopped', stopped, 15_000);
    for (const folder of [serverDirectory, checkout]) await rm(folder, { recursive: true, force: true });
  });
  return { checkout, serverDirectory };
}

/** What git knows of the project, or would if it were added. */
export async function copyFiles(checkout: string): Promise<void> {
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: PROJECT });
  for (const file of files.toString().split('\n').filter(Boolean)) {
    await mkdir(dirname(join(checkout, file)), { recursive: true });
    await cp(join(PROJECT, file), join(checkout, file)).catch(ignoreDeleted);
  }
}

/** The servers that run on the data in a folder. */
export async function postmasters(serverDirectory: string) {
  const named = (await listProcesses()).filter(({ command }) => {
    return /postgres\b.* -D /.test(command) && command.includes(join(serverDirectory, 'data'));
  });
  // A backend that was just forked still has the name of its postmaster.
  return named.filter(({ parent }) => named.every(({ pid }) => pid !== parent));
}

function ignoreDeleted(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
