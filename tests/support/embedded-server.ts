import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { locateServer } from '../../src/postgres/embedded/location.ts';
import { withClient } from '../../src/postgres/with-client.ts';
import { postmasters } from './checkout.ts';
import { createServerDirectory } from './directory.ts';
import { until } from './until.ts';

/** A folder for a project with an embedded server of its own, which is killed at the end of the test. */
export async function createProject(name = '') {
  const project = join(await createServerDirectory(), name);
  await mkdir(project, { recursive: true });
  if (name) await chmod(project, 0o755);
  const { directory } = await locateServer(project);
  onTestFinished(() => killServers(directory));
  return { project, directory, pidFile: join(directory, 'data/postmaster.pid') };
}

export async function killServers(directory: string): Promise<void> {
  for (const { pid } of await postmasters(directory)) process.kill(pid, 'SIGKILL');
  await until('the server is dead', async () => (await postmasters(directory)).length === 0);
}

export async function answers(connectionString: string): Promise<boolean> {
  return withClient(connectionString, 'test', async (client) => (await client.query('SELECT 1')).rowCount === 1);
}
