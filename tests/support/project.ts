import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { PROJECT } from './program.ts';

/** Somebody's project: these files, and the packages of this one. */
export async function createProject(files: Record<string, string>): Promise<string> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'postgres-world-project-')));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await symlink(join(PROJECT, 'node_modules'), join(root, 'node_modules'));
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }
  return root;
}
