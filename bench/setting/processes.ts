import { readdir, readFile } from 'node:fs/promises';

/** Of Linux, whatever the machine. */
const TICKS_PER_SECOND = 100;

/** Elsewhere, nothing is said about CPU time. */
export const CAN_COUNT_CPU = process.platform === 'linux';

interface Stat {
  parent: number;
  own: number;
  /** Of its children that have ended. */
  children: number;
}

/** CPU milliseconds that these processes have used so far. */
export async function cpuOf(pids: readonly number[]): Promise<number> {
  const stats = await Promise.all(pids.map(readStat));
  return stats.reduce((sum, stat) => sum + (stat?.own ?? 0), 0);
}

/** The same of a PostgreSQL server with all of its processes, also those that have ended, but some. */
export async function cpuOfServer(postmaster: number, without: readonly number[]): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const stats = await Promise.all(pids.map(async (pid) => ({ pid, stat: await readStat(pid) })));
  return stats.reduce((sum, { pid, stat }) => {
    if (!stat || without.includes(pid)) return sum;
    if (pid === postmaster) return sum + stat.own + stat.children;
    return stat.parent === postmaster ? sum + stat.own : sum;
  }, 0);
}

async function readStat(pid: number): Promise<Stat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  // The name before it is in parentheses, and may have spaces.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const milliseconds = (first: number) => ((fields[first]! + fields[first + 1]!) * 1_000) / TICKS_PER_SECOND;
  return { parent: fields[1]!, own: milliseconds(11), children: milliseconds(13) };
}
