import { constants, statSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SOCKET_NAME } from './address.ts';

/** What the server writes as the place of its socket: its own folder. */
export const SOCKET_FOLDER = '.';

export interface PidFile {
  text: string;
  pid: number;
  /** Where its server has its socket; written once it is there. */
  socketFolder: string;
  /** Undefined: it listens on no port. */
  tcpPort: number | undefined;
}

/** The file by which PostgreSQL keeps a second server from its data; undefined if there is none. */
export async function readPidFile(data: string): Promise<PidFile | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const [pid, , , port, socketFolder = '', host] = text.split('\n').map((line) => line.trim());
  return { text, pid: Number(pid), socketFolder, tcpPort: host && Number(port) ? Number(port) : undefined };
}

/**
 * Helps PostgreSQL where it takes another process for the server that has left its pid file behind, because the
 * system, or the next start of a container, has given it the number: the file names this process instead, which
 * PostgreSQL knows to be its parent. It is not removed, because PostgreSQL looks by it whether any process of that
 * server is left.
 *
 * Only where that server is dead beyond doubt: its file says that its socket was there, the socket refuses (on this
 * kernel, nobody listens on it, in no container), and the process of that number works in another folder.
 * @param refused whether the socket has just refused; not: whether it is not there
 */
export async function disownPidFile(data: string, left: PidFile | undefined, refused: boolean): Promise<void> {
  if (!refused || left?.socketFolder !== SOCKET_FOLDER || !isElsewhere(left.pid, data)) return;
  if ((await readPidFile(data))?.text !== left.text) return;
  for (const name of ['postmaster.pid', `${SOCKET_NAME}.lock`]) {
    // Not through a link: root does this in a folder of another user.
    const file = await open(join(data, name), constants.O_RDWR | constants.O_NOFOLLOW).catch(() => undefined);
    if (!file) continue;
    try {
      const text = (await file.readFile('utf8')).replace(/^\s*-?\d+/, String(process.pid));
      await file.truncate();
      await file.write(text, 0);
    } finally {
      await file.close();
    }
  }
}

/** Whether a process is there that is surely no server on these data, which would work in their folder. */
function isElsewhere(pid: number, data: string): boolean {
  if (process.platform !== 'linux' || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch {
    // It is gone, or another user's: PostgreSQL sees that itself.
    return false;
  }
  try {
    const [itsFolder, ours] = [statSync(`/proc/${pid}/cwd`), statSync(data)];
    return itsFolder.ino !== ours.ino || itsFolder.dev !== ours.dev;
  } catch (error) {
    // A process that has ended, and whose parent has yet to notice, works nowhere. Of others' we know nothing.
    return (error as { code?: string }).code === 'ENOENT';
  }
}
