import { expect, inject, test } from 'vitest';
import { OURS } from '../sweep/engine.ts';
import { countStatements, sample, sweepStatements } from '../sweep/sweep.ts';
import { summarize } from '../sweep/table.ts';

/** All of them take too long for every CI: `npm run chaos:statements` does that. */
const SAMPLE = Number(process.env.CHAOS_STATEMENTS ?? 60);
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
    };
    const total = await countStatements(sweeping);
    const beganAt = Date.now();
    console.log(`${Math.min(SAMPLE, total)} of ${total} statements: CHAOS_STATEMENTS=${SAMPLE} CHAOS_SEED=${SEED}`);

    const outcomes = await sweepStatements(sample(1, total, SAMPLE, SEED), sweeping);

    console.log(summarize(outcomes, Math.round((Date.now() - beganAt) / 1_000)));
    expect(outcomes.filter(({ verdict }) => verdict === 'defect')).toEqual([]);
  },
);
