import { fork, type ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { WorldConfig } from '../config/config.ts';
import { queueNames } from '../queue/boss.ts';
import type { DriveAlone } from '../queue/handle-run-job.ts';
import type { Jobs } from '../queue/jobs.ts';
import type { Assignment, FromIsolated } from './messages.ts';

const MAIN = fileURLToPath(import.meta.resolve('./main.ts'));

/** It connects and compiles before it takes the lease over. */
const START_PATIENCE_MS = 60_000;

/** How often to see whether the process still has the run; twice without it, it is hung. */
const WATCH_INTERVAL_MS = 3_000;

/**
 * Runs that workers died of, each in a process of its own. That one takes the lease over: when it
 * dies, only it does, and the sweep of whoever lives finds its job without a lock, as any other.
 */
export function createIsolation(config: WorldConfig, jobs: Jobs): DriveAlone {
  return async ({ deploymentId, job, letGo }, stopping) => {
    const startedAt = performance.now();
    const child = fork(MAIN, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    let held = false;
    child.on('message', (message: FromIsolated) => {
      if (message.kind === 'log') return config.log(message.line);
      held = true;
      letGo();
    });
    const { log: _, ...rest } = config;
    child.send({ config: rest, handedOver: { deploymentId, job } } satisfies Assignment, () => undefined);
    const stop = () => child.kill('SIGTERM');
    stopping.addEventListener('abort', stop);
    if (stopping.aborted) stop();
    const ended = new AbortController();
    const isHung = async () =>
      held
        ? !(await jobs.isHeld(queueNames(config.jobPrefix, deploymentId).flows, job))
        : performance.now() - startedAt > START_PATIENCE_MS;
    void killWhenHung(child, isHung, ended.signal);
    const how = await endOf(child);
    ended.abort();
    stopping.removeEventListener('abort', stop);
    if (!held && !stopping.aborted) throw new Error(`its own process ended (${how}) before it had the run`);
    return held;
  };
}

/** Never rejects: a process that could not be started has ended, too. */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    child.on('error', ({ message }) => child.pid === undefined && resolve(message));
  });
}

async function killWhenHung(child: ChildProcess, isHung: () => Promise<boolean>, ended: AbortSignal): Promise<void> {
  for (let misses = 0; misses < 2;) {
    await delay(WATCH_INTERVAL_MS, undefined, { signal: ended, ref: false }).catch(() => undefined);
    if (ended.aborted) return;
    // While the database is away, nobody knows.
    misses = (await isHung().catch(() => false)) ? misses + 1 : 0;
  }
  child.kill('SIGKILL');
}
