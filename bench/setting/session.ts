import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';
import type { System } from '../systems/system.ts';
import { connect, pidOf, type BenchServer } from './server.ts';
import { countFsyncs, countUsage, type Usage } from './usage.ts';
import { startWorker, type WorkerProcess } from './worker-process.ts';

/** Stock needs minutes for 500 parallel steps. */
const PATIENCE_MS = 900_000;

interface Run {
  workflow: string;
  args?: unknown[];
  /** Step executions of one run. */
  steps: number;
}

/** One system, with a database and workers of its own, for one workload. */
export interface Session {
  system: System;
  client: Client;
  url: string;
  workers: readonly WorkerProcess[];
  /** Starts as many at once, and waits until all have completed. Returns milliseconds. */
  run(run: Run, count?: number): Promise<number>;
  /** Starts one from another process than the worker, where there can be one. */
  starter: WorkerProcess;
  /** Waits for the end of runs that somebody started when so many steps had run. */
  completed(runIds: readonly string[], steps: number): Promise<void>;
  /** Steps so far, and when the last one ran, in ms of `now()`. */
  readonly steps: number;
  readonly lastStepAt: number;
  countUsage(): Promise<() => Promise<Usage>>;
  counters(): Promise<{ bodies: number; steps: Map<string, number> }>;
}

/** Exact when all backends have ended. */
export interface Totals {
  fsyncsPerStep: number;
  messages: number | undefined;
}

export interface SessionOptions {
  server: BenchServer;
  system: System;
  template: string;
  workers?: number;
  starter?: boolean;
  env?: Record<string, string>;
  /** The database stays, under this name. */
  keepAs?: string;
}

/** Opens a session for `work`, and closes it. What the server counts is complete then. */
export async function inSession<T>(
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<{ result: T; totals: Totals }> {
  const { server, system, template, keepAs } = options;
  const name = keepAs ?? `bench_${system.name.replace('-', '_')}`;
  const url = await server.createDatabase(name, template);
  try {
    const client = await connect(url);
    try {
      const fsyncs = await countFsyncs(client);
      const { result, steps } = await withWorkers(options, url, client, work);
      await untilAlone(client);
      return {
        result,
        totals: {
          fsyncsPerStep: ((await countFsyncs(client)) - fsyncs) / Math.max(1, steps),
          messages: await countMessages(client, system),
        },
      };
    } finally {
      await client.end();
    }
  } finally {
    if (keepAs === undefined) await server.dropDatabase(name);
  }
}

async function withWorkers<T>(
  { server, system, workers: count = 1, starter: separate = false, env }: SessionOptions,
  url: string,
  client: Client,
  work: (session: Session) => Promise<T>,
): Promise<{ result: T; steps: number }> {
  await using opened = new AsyncDisposableStack();
  let steps = 0;
  let lastStepAt = 0;
  let look = () => undefined as void;
  const death = Promise.withResolvers<never>();
  death.promise.catch(() => undefined);
  const open = async (role: string) =>
    opened.adopt(
      await startWorker({
        module: system.worker,
        env: { WORKFLOW_POSTGRES_URL: url, BENCH_ROLE: role, ...system.env, ...env },
        onSteps(more, lastAt) {
          steps += more;
          lastStepAt = Math.max(lastStepAt, lastAt);
          look();
        },
        onDeath: death.reject,
      }),
      (worker) => worker.stop(),
    );
  const workers: WorkerProcess[] = [];
  for (let n = 0; n < count; n += 1) workers.push(await open('worker'));
  const starter = separate ? await open('starter') : workers[0]!;

  async function completed(runIds: readonly string[], wanted: number): Promise<void> {
    const all = Promise.withResolvers<void>();
    look = () => steps >= wanted && all.resolve();
    look();
    await withPatience(Promise.race([all.promise, death.promise]), `${steps} of ${wanted} steps`);
    // What is left is the end of the runs, which no step tells.
    for (const begun = performance.now(); ;) {
      const { rows } = await client.query<{ status: string; runs: number }>(system.statuses, [runIds]);
      const done = rows.find(({ status }) => status === system.completed)?.runs ?? 0;
      if (done === runIds.length) return;
      const bad = rows.find(({ status }) => /fail|cancel|error/i.test(status));
      if (bad) throw new Error(`${bad.runs} runs of ${system.name}: ${bad.status}`);
      const waited = performance.now() - begun;
      if (waited > PATIENCE_MS) throw new Error(`${runIds.length - done} runs of ${system.name} did not complete`);
      await delay(Math.min(20, Math.max(1, waited / 50)));
    }
  }

  const session: Session = {
    system,
    client,
    url,
    workers,
    starter,
    completed,
    async run({ workflow, args = [], steps: each }, runs = 1) {
      const wanted = steps + each * runs;
      const begun = performance.now();
      const runIds = await Promise.race([workers[0]!.ask<string[]>('start', workflow, args, runs), death.promise]);
      await completed(runIds, wanted);
      return performance.now() - begun;
    },
    get steps() {
      return steps;
    },
    get lastStepAt() {
      return lastStepAt;
    },
    async countUsage() {
      const without = [await pidOf(client), await pidOf(server.client)];
      const { postmaster } = server;
      return countUsage({ client: server.client, postmaster, workers: workers.map(({ pid }) => pid), without });
    },
    async counters() {
      const sum = { bodies: 0, steps: new Map<string, number>() };
      for (const worker of new Set([...workers, starter])) {
        const one = await worker.ask<{ bodies: number; steps: Record<string, number> }>('counters');
        sum.bodies += one.bodies;
        for (const [id, times] of Object.entries(one.steps)) sum.steps.set(id, (sum.steps.get(id) ?? 0) + times);
      }
      return sum;
    },
  };
  return { result: await work(session), steps };
}

async function withPatience(work: Promise<unknown>, what: string): Promise<void> {
  const timer = Promise.withResolvers<never>();
  const timeout = setTimeout(() => timer.reject(new Error(`After ${PATIENCE_MS / 60_000} min: ${what}`)), PATIENCE_MS);
  // Of a benchmark that was interrupted, nothing is to stay.
  timeout.unref();
  await Promise.race([work, timer.promise]).finally(() => clearTimeout(timeout));
}

/** Backends hand in what they have counted when they end. */
async function untilAlone(client: Client): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
       AND pid <> pg_backend_pid()`,
    );
    if (rowCount === 0) return;
    await delay(20);
  }
}

async function countMessages(client: Client, { jobTables }: System): Promise<number | undefined> {
  if (!jobTables) return undefined;
  const { rows } = await client.query<{ inserted: string }>(
    `SELECT sum(n_tup_ins) AS inserted FROM pg_stat_user_tables WHERE ${jobTables}`,
  );
  return Number(rows[0]!.inserted);
}
