import { inSession } from '../setting/session.ts';
import type { Figures, Workload } from './workload.ts';

export const w5: Workload = {
  name: 'W5',
  title: 'N parallel steps: total ms, replays, messages',
  systems: ['ours', 'stock', 'dbos'],
  shown: [10, 100, 500].flatMap((count) => [`totalMs${count}`, `replays${count}`, `messages${count}`]),
  async measure({ quick, ...situation }) {
    const figures: Figures = {};
    for (const count of quick ? [10, 100] : [10, 100, 500]) {
      const { result, totals } = await inSession(situation, async (session) => {
        await session.run({ workflow: 'sequentialWorkflow', args: [1], steps: 1 });
        const before = await session.counters();
        const totalMs = await session.run({ workflow: 'parallelWorkflow', args: [count], steps: count });
        const after = await session.counters();
        return { totalMs, replays: after.bodies - before.bodies };
      });
      figures[`totalMs${count}`] = result.totalMs;
      figures[`replays${count}`] = result.replays;
      if (totals.messages !== undefined) figures[`messages${count}`] = totals.messages;
    }
    return figures;
  },
};
