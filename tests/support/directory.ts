import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onEnd } from './on-end.ts';
import { serverUser } from '../../src/postgres/embedded/location.ts';

/** A directory for the time of the test, which belongs to the user that a server runs as. */
export async function createServerDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'postgres-world-server-'));
  onEnd(() => rm(directory, { recursive: true, force: true }));
  const user = serverUser();
  if (user) await chown(directory, user.uid, user.gid);
  return directory;
}
