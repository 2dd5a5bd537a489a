import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface ProcessInfo {
  pid: number;
  parent: number;
  command: string;
}

/** Every process of this machine, but those that have ended and whose parent, init perhaps, has yet to notice. */
export async function listProcesses(): Promise<ProcessInfo[]> {
  const { stdout } = await promisify(execFile)('ps', ['-e', '-ww', '-o', 'pid=,ppid=,args='], { maxBuffer: 1e8 });
  return stdout
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, pid, parent, command = '']) => ({ pid: Number(pid), parent: Number(parent), command }))
    .filter(({ command }) => !command.endsWith('<defunct>'));
}

/** What a process has started, and what that has. */
export async function descendantsOf(pid: number): Promise<ProcessInfo[]> {
  const all = await listProcesses();
  const below = (parent: number): ProcessInfo[] =>
    all.filter((candidate) => candidate.parent === parent).flatMap((child) => [child, ...below(child.pid)]);
  return below(pid);
}

/** The Claude Code CLIs that a process is running. */
export async function runningClis(pid: number): Promise<ProcessInfo[]> {
  return (await descendantsOf(pid)).filter(({ command }) => /^\S*\/claude /.test(command));
}

export async function areGone(processes: readonly ProcessInfo[]): Promise<boolean> {
  const alive = new Map((await listProcesses()).map(({ pid, command }) => [pid, command]));
  return processes.every(({ pid, command }) => alive.get(pid) !== command);
}
