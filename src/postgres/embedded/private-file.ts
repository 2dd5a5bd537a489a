import { chmodSync, chownSync, closeSync, lstatSync, openSync, statSync, type Stats } from 'node:fs';
import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigError } from '../../config/config.ts';
import type { ServerUser } from './location.ts';

const OTHERS = 0o077;

/**
 * Makes sure that there is a file, and that nobody else can open it: from its creation on, whatever the umask; that
 * of an earlier version, from now on. One that is there is not opened: a close would drop this process's locks on it.
 * @throws ConfigError where this user may not
 */
export function createPrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
    // Root, in the folder of a user who is to find it usable.
    const { uid, gid } = statSync(dirname(path));
    if (process.getuid?.() === 0 && uid !== 0) chownSync(path, uid, gid);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== 'EEXIST') throw new ConfigError(`${message}\n  ${remedyFor(path)}`, { cause });
    const { mode, uid } = lstatSync(path);
    const me = process.getuid?.();
    if (me !== undefined && me !== 0 && me !== uid) {
      throw new ConfigError(`${path} belongs to another user (uid ${uid}).\n  ${remedyFor(path)}`);
    }
    if (mode & OTHERS) chmodSync(path, 0o600);
  }
}

/**
 * Makes a folder that only this user can enter, and the user that the server runs as, if that is another one.
 * @throws ConfigError where it belongs to somebody else
 */
export async function makePrivateFolder(path: string, user: ServerUser | undefined): Promise<void> {
  let folder: Stats;
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    folder = await stat(path);
  } catch (cause) {
    throw new ConfigError(`${(cause as Error).message}\n  ${remedyFor(path)}`, { cause });
  }
  const me = process.getuid?.();
  if (me === undefined || (me === 0 && folder.uid !== 0)) return;
  if (folder.uid !== me) {
    throw new ConfigError(`${path} belongs to another user (uid ${folder.uid}).\n  ${remedyFor(path)}`);
  }
  if (user && folder.gid !== user.gid) await chown(path, folder.uid, user.gid);
  const mode = user ? 0o750 : 0o700;
  if ((folder.mode & 0o777) !== mode) await chmod(path, mode);
}

function remedyFor(path: string): string {
  return `Run this as the user whose it is, let this one write to ${dirname(path)}, or set WORKFLOW_POSTGRES_URL to a server of your own.`;
}
