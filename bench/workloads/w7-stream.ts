import { inSession } from '../setting/session.ts';
import type { Delays } from '../workers/delays.ts';
import type { Figures, Workload } from './workload.ts';

const TOKENS = 10_000;

/** Stock writes a chunk for each token, one after the other, 10 ms apart: as many would take minutes. */
const STOCK_TOKENS = 500;

const RATES = [3_000, 10_000];

export const w7: Workload = {
  name: 'W7',
  title: '10,000 tokens, 3,000 and 10,000 a second, read live by another process',
  systems: ['ours', 'stock'],
  shown: RATES.flatMap((rate) => [`tokensPerSecondAt${rate}`, `delayMsP50At${rate}`, `delayMsP99At${rate}`]),
  async measure({ quick, ...situation }) {
    const isOurs = situation.system.name === 'ours';
    const workflow = isOurs ? 'durableStreamWorkflow' : 'writableWorkflow';
    const count = isOurs ? (quick ? 1_000 : TOKENS) : quick ? 50 : STOCK_TOKENS;
    const options = { ...situation, starter: true, env: { BENCH_WORKFLOWS: 'streams.ts' } };
    const { result } = await inSession(options, async (session) => {
      const figures: Figures = {};
      const stream = async (tokens: number, rate: number) => {
        const wanted = session.steps + 1;
        const runIds = await session.starter.ask<string[]>('start', workflow, [tokens, rate], 1);
        const [delays] = await Promise.all([
          session.starter.ask<Delays>('read', runIds[0]),
          session.completed(runIds, wanted),
        ]);
        if (delays.tokens !== tokens) throw new Error(`${delays.tokens} of ${tokens} tokens came`);
        return delays;
      };
      await stream(50, 1_000);
      for (const rate of RATES) {
        const { tokens, totalMs, p50, p99 } = await stream(count, rate);
        figures[`tokensPerSecondAt${rate}`] = (tokens * 1_000) / totalMs;
        figures[`delayMsP50At${rate}`] = p50;
        figures[`delayMsP99At${rate}`] = p99;
      }
      return figures;
    });
    return result;
  },
};
