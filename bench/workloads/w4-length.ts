import { inSession } from '../setting/session.ts';
import { median } from '../report/statistics.ts';
import type { Figures, Workload } from './workload.ts';

export const w4: Workload = {
  name: 'W4',
  title: 'N sequential steps: ms per step',
  systems: ['floor', 'ours', 'stock', 'dbos'],
  shown: ['msPerStep10', 'msPerStep50', 'msPerStep200', 'msPerStep500'],
  async measure({ quick, ...situation }) {
    const { result } = await inSession(situation, async (session) => {
      const figures: Figures = {};
      const run = (count: number) => session.run({ workflow: 'sequentialWorkflow', args: [count], steps: count });
      for (let n = 0; n < (quick ? 1 : 10); n += 1) await run(10);
      // As many steps of each length, but at least one run.
      for (const count of quick ? [10, 50] : [10, 50, 200, 500]) {
        const times: number[] = [];
        for (let n = 0; n < Math.max(1, (quick ? 50 : 200) / count); n += 1) times.push((await run(count)) / count);
        figures[`msPerStep${count}`] = median(times);
      }
      return figures;
    });
    return result;
  },
};
