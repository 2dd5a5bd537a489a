import { expect, inject, test } from 'vitest';
import { OURS } from '../sweep/engine.ts';
import { countStatements, sample, sweepStatements } from '../sweep/sweep.ts';
import { summarize } from '../sweep/table.ts';

/** All of them, in about 9 minutes on two idle cores. A busier machine gets as far as it comes, in an order that the seed decides. */
const BUDGET_MS = 600_000;
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1e9);
const LANES = 8;

test(
  'whichever SQL statement a worker dies before, its run ends as it would have (vercel/workflow #3081)',
  { timeout: 1_200_000 },
  async () => {
    const sweeping = {
      engine: OURS,
      serverUrl: inject('serverUrl'),
      template: inject('templateDatabase'),
      lanes: LANES,
      budgetMs: BUDGET_MS,
    };
    const total = await countStatements(sweeping);
    const beganAt = Date.now();

    const outcomes = await sweepStatements(sample(1, total, total, SEED), sweeping);

    console.log(`${outcomes.length} of ${total} statements, CHAOS_SEED=${SEED}`);
    console.log(summarize(outcomes, Math.round((Date.now() - beganAt) / 1_000)));
    expect(outcomes.filter(({ verdict }) => verdict === 'defect')).toEqual([]);
  },
);
