import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readdir, realpath, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { copyFiles } from './checkout.ts';
import { PROJECT, startCommand, type Program } from './program.ts';

/** Somebody who is not root, where root runs the tests; else whoever does. */
const user = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;

/** What there is on a machine. */
export interface Machine {
  /** The name of the project's folder. */
  folder: string;
  /** Its whole environment, but for HOME, PATH and TMPDIR. */
  env?: Record<string, string>;
  umask?: string;
  /** Whose number this is has no name, as in a container; for tests that run as root. */
  uid?: number;
  /** Without the program `ps`. */
  withoutPs?: boolean;
}

/**
 * A copy of the project and of its packages, which belongs to an ordinary user, in a folder that has another name on
 * each machine. The packages are links to the same files, since they are a gigabyte.
 */
export class MachineProject {
  private readonly base: string;
  private folder: string;

  private constructor(base: string, folder: string) {
    [this.base, this.folder] = [base, folder];
  }

  static async create(): Promise<MachineProject> {
    const base = await realpath(await mkdtemp(join(tmpdir(), 'postgres-world-machines-')));
    const folder = join(base, 'project');
    await chmod(base, 0o755);
    await mkdir(folder);
    await copyFiles(folder);
    for (const name of ['home', 'temporary']) await mkdir(join(base, name));
    if (user) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, folder]);
    await chmod(join(base, 'temporary'), 0o1777);
    await chmod(join(base, 'home'), 0o555);
    linkOrCopy(join(PROJECT, 'node_modules'), folder);
    return new MachineProject(base, folder);
  }

  /** Moves it to where this machine has it, as if nothing had been run there yet. */
  async moveTo({ folder, uid }: Machine): Promise<string> {
    for (const name of ['.postgres', '.workflow', '.swc'])
      await rm(join(this.folder, name), { recursive: true, force: true });
    const target = join(this.base, folder);
    await rename(this.folder, target);
    if (user) await chown(target, uid ?? user.uid, user.gid);
    return (this.folder = target);
  }

  /** As its user would in a terminal: with the Node of the system first in the PATH, and a HOME that is not writable. */
  async start(machine: Machine, script: string): Promise<Program> {
    const environment = {
      ...machine.env,
      HOME: join(this.base, 'home'),
      PATH: machine.withoutPs ? await this.binariesWithoutPs() : systemPath().join(delimiter),
      TMPDIR: join(this.base, 'temporary'),
      WORKFLOW_MODEL: 'simulated',
    };
    const assignments = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const command = `umask ${machine.umask ?? '022'}; exec env -i "$@"`;
    const args = ['-c', command, 'sh', ...assignments, 'npm', 'run', script];
    return startCommand('/bin/sh', args, {
      cwd: this.folder,
      user: user && { ...user, uid: machine.uid ?? user.uid },
      env: { PATH: systemPath().join(delimiter) },
    });
  }

  private async binariesWithoutPs(): Promise<string> {
    const directory = join(this.base, 'bin');
    await mkdir(directory, { recursive: true });
    for (const path of systemPath()) {
      for (const name of await readdir(path).catch(() => [])) {
        // The first one of a name counts, as in a PATH.
        if (name !== 'ps') await symlink(join(path, name), join(directory, name)).catch(() => undefined);
      }
    }
    return directory;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.base, { recursive: true, force: true });
  }
}

/** Without what npm has put before it for the tests. */
function systemPath(): string[] {
  return (process.env.PATH ?? '').split(delimiter).filter((path) => !path.includes('node_modules'));
}

function linkOrCopy(source: string, target: string): void {
  try {
    execFileSync('cp', ['-al', source, target], { stdio: 'ignore' });
  } catch {
    // Another file system.
    execFileSync('cp', ['-a', source, target]);
  }
}
