import { randomBytes } from 'node:crypto';
import { Pool } from 'pg';
import { createRandom } from '../support/random.ts';
import { CREATE_EXECUTIONS } from '../support/executions-table.ts';
import { withDatabase } from '../support/test-server.ts';
import { STOCK, type Engine } from './engine.ts';
import { createLane, type Outcome } from './lane.ts';

export interface SweepOptions {
  engine: Engine;
  /** Of a superuser. */
  serverUrl: string;
  /** A database that was set up, to make others from. */
  template: string;
  /** How many databases, each with a worker, at the same time. Most of a lane's time is waiting. */
  lanes: number;
  /** After this time none of them is begun any more; the first ones of `ks` were. */
  budgetMs?: number;
  onOutcome?(outcome: Outcome, database: string, output: string): void;
}

/** The number of statements that serve a run whose workers live. */
export async function countStatements(options: SweepOptions): Promise<number> {
  const [outcome] = await sweepStatements([0], { ...options, lanes: 1 });
  if (!outcome?.statements || outcome.problems.length > 0) {
    throw new Error(`The run fails although nobody dies: ${outcome?.problems.join('; ') ?? 'it was not started'}`);
  }
  return outcome.statements;
}

/** Kills a worker before each of these statements. The database of a defect is kept. */
export async function sweepStatements(ks: readonly number[], options: SweepOptions): Promise<Outcome[]> {
  const server = new Pool({ connectionString: options.serverUrl, max: 2 });
  const left = [...ks];
  const beganAt = performance.now();
  const goesOn = () => left.length > 0 && performance.now() - beganAt < (options.budgetMs ?? Infinity);
  const next = () => (goesOn() ? left.shift() : undefined);
  const outcomes: Outcome[] = [];

  /** @returns whether its database may go */
  const useLane = async (pool: Pool, url: string, database: string): Promise<boolean> => {
    await using lane = createLane(options.engine, pool, { WORKFLOW_POSTGRES_URL: url });
    for (let k = next(); k !== undefined; k = next()) {
      const outcome = await lane.sweep(k);
      outcomes.push(outcome);
      options.onOutcome?.(outcome, database, lane.output());
      if (outcome.verdict === 'defect') return options.engine === STOCK;
      if (!options.engine.lasting) return true;
    }
    return true;
  };

  const keepLaneBusy = async () => {
    while (goesOn()) {
      const database = `sweep_${randomBytes(6).toString('hex')}`;
      await server.query(`CREATE DATABASE ${database} TEMPLATE ${options.template}`);
      const url = withDatabase(options.serverUrl, database);
      const pool = new Pool({ connectionString: url, max: 2 });
      // Its connections may still be closing when the database is dropped.
      pool.on('error', () => undefined);
      await pool.query(CREATE_EXECUTIONS);
      const mayGo = await useLane(pool, url, database);
      if (mayGo) await server.query(`DROP DATABASE ${database} WITH (FORCE)`);
    }
  };

  try {
    await Promise.all(Array.from({ length: Math.min(options.lanes, ks.length) }, keepLaneBusy));
  } finally {
    // No lane begins another one after a failure of the sweep itself.
    left.length = 0;
    await server.end();
  }
  return outcomes.toSorted((a, b) => a.k - b.k);
}

/** `count` of the numbers from `first` to `last`, all if there are no more, in an order that the seed decides. */
export function sample(first: number, last: number, count: number, seed: number): number[] {
  const random = createRandom(seed);
  return Array.from({ length: last - first + 1 }, (_, index) => ({ k: first + index, rank: random() }))
    .toSorted((a, b) => a.rank - b.rank)
    .slice(0, count)
    .map(({ k }) => k);
}
