import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Engine } from './engine.ts';
import { judge } from './verdict.ts';
import { startSweepWorker, type SweepWorker } from './worker-process.ts';

/** After its end, the last job and the last number have this long to be put in order. */
const SETTLE_PATIENCE_MS = 30_000;
const LOOK_INTERVAL_MS = 150;
/** When a run has ended and nothing is left to do, its worker is not going to die of it any more. */
const CALM_MS = 400;

export interface Outcome {
  k: number;
  /** `not reached`: this run took fewer statements. */
  verdict: 'fine' | 'nothing started' | 'not reached' | 'defect';
  statement: string | undefined;
  /** Of a defect. */
  problems: string[];
  /** From the death to the end of the run. */
  recoveryMs: number | undefined;
  /** Statements of the run, if nobody died. */
  statements: number | undefined;
  runId: string | undefined;
}

interface RunState {
  run_id: string;
  ended: boolean;
  hook: boolean;
  resumed: boolean;
  settled: boolean;
}

/** One database, in which one worker after the other dies, each of its own statement; the next takes over. */
export interface Lane extends AsyncDisposable {
  sweep(k: number): Promise<Outcome>;
  /** What the workers wrote. */
  output(): string;
}

/** @param pool of the database; `env` leads the workers to it */
export function createLane(engine: Engine, pool: Pool, env: Record<string, string>): Lane {
  const { look: runs, messages, patienceMs } = engine;
  let worker: SweepWorker | undefined;
  let output = '';
  const finished: string[] = [];

  const livingWorker = async (): Promise<SweepWorker> => {
    if (worker && !worker.dead) return worker;
    if (worker) output += worker.output;
    worker = await startSweepWorker({ ...engine.env, ...env });
    return worker;
  };

  /** The run under test: the only one that is not finished. Undefined: there is none, and no message for one. */
  async function look(): Promise<RunState | 'only a message' | undefined> {
    const { rows } = await pool.query<RunState>(runs, [finished]);
    if (rows[0]) return rows[0];
    const { rowCount } = await pool.query(messages);
    return rowCount ? 'only a message' : undefined;
  }

  async function sweep(k: number): Promise<Outcome> {
    const victim = await livingWorker();
    const token = `token-${k}-${victim.pid}`;
    const started = victim.ask('start', token, k);
    // A death is an answer, too.
    await started;
    let diedAt: number | undefined;
    let endedAt: number | undefined;
    let calmSince: number | undefined;
    let state: Awaited<ReturnType<typeof look>>;
    const patience = [...patienceMs];
    let deadline = Date.now() + patience.shift()!;
    for (;;) {
      if (victim.dead) diedAt ??= Date.now();
      const current = await livingWorker();
      state = await look();
      if (state === undefined) break;
      if (state !== 'only a message') {
        if (state.ended) endedAt ??= Date.now();
        calmSince = state.ended && state.settled ? (calmSince ?? Date.now()) : undefined;
        if (calmSince !== undefined && (diedAt !== undefined || Date.now() - calmSince > CALM_MS)) break;
        if (endedAt !== undefined && Date.now() - endedAt > SETTLE_PATIENCE_MS) break;
        // Its own death in the middle of this leaves the run unresumed, or resumed: the next look tells.
        if (state.hook && !state.resumed && !state.ended) await current.ask('resume', token).catch(() => undefined);
      }
      if (Date.now() > deadline) {
        if (patience.length === 0) break;
        deadline = Date.now() + patience.shift()!;
        await current.kill();
      }
      await delay(LOOK_INTERVAL_MS);
    }
    const statements =
      diedAt === undefined && !victim.dead ? (await victim.ask('statements'))?.value.length : undefined;
    const runId = typeof state === 'object' ? state.run_id : undefined;
    if (runId) finished.push(runId);
    const problems =
      state === 'only a message'
        ? ['there is a message, and no run']
        : await judge(engine, pool, runId, await livingWorker(), token);
    const survived = diedAt === undefined ? 'not reached' : 'fine';
    return {
      k,
      verdict: problems.length > 0 ? 'defect' : runId ? survived : 'nothing started',
      statement: victim.diedBefore,
      problems,
      recoveryMs: diedAt && endedAt && Math.max(0, endedAt - diedAt),
      statements,
      runId,
    };
  }

  return {
    sweep,
    output: () => output + (worker?.output ?? ''),
    async [Symbol.asyncDispose]() {
      await worker?.kill();
      await pool.end();
    },
  };
}
