import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { WorldConfig } from '../config/config.ts';
import type { DriveAlone } from '../queue/handle-run-job.ts';
import type { Jobs } from '../queue/jobs.ts';
import { queueNames } from '../queue/boss.ts';
import type { Assignment, FromIsolated } from './messages.ts';

const MAIN = fileURLToPath(import.meta.resolve('./main.ts'));

/** How often to see whether the process still has the run; twice without it, it is hung. */
const WATCH_INTERVAL_MS = 3_000;

/**
 * Runs that workers died of, each in a process of its own. That one takes the lease over: when it
 * dies, only it does, and the sweep of whoever lives finds its job without a lock, as any other.
 */
export function createIsolation(config: WorldConfig, jobs: Jobs): DriveAlone {
  return async ({ deploymentId, job, letGo }, stopping) => {
    const child = fork(MAIN, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const exited = once(child, 'exit');
    let held = false;
    child.on('message', (message: FromIsolated) => {
      if (message.kind === 'log') return config.log(message.line);
      held = true;
      letGo();
    });
    // It died already; its exit says so.
    child.on('error', () => undefined);
    const { log: _, ...rest } = config;
    child.send({ config: rest, handedOver: { deploymentId, job } } satisfies Assignment);
    const stop = () => child.kill('SIGTERM');
    stopping.addEventListener('abort', stop);
    const watching = new AbortController();
    const stillHas = () => !held || jobs.isHeld(queueNames(config.jobPrefix, deploymentId).flows, job);
    void killWhenHung(stillHas, () => child.kill('SIGKILL'), watching.signal);
    const [code, signal] = (await exited) as [number | null, NodeJS.Signals | null];
    watching.abort();
    stopping.removeEventListener('abort', stop);
    if (!held && !stopping.aborted) throw new Error(`its own process ended (${signal ?? code}) before it had the run`);
  };
}

async function killWhenHung(stillHas: () => Promise<boolean> | boolean, kill: () => void, ended: AbortSignal) {
  for (let misses = 0; misses < 2;) {
    await delay(WATCH_INTERVAL_MS, undefined, { signal: ended, ref: false }).catch(() => undefined);
    if (ended.aborted) return;
    // While the database is away, nobody knows.
    const has = await Promise.resolve(stillHas()).catch(() => true);
    misses = has ? 0 : misses + 1;
  }
  kill();
}
