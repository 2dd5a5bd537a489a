import { setTimeout as delay } from 'node:timers/promises';
import { median, quantile } from '../report/statistics.ts';
import { inSession } from '../setting/session.ts';
import type { Workload } from './workload.ts';

/** Long enough for a worker to have nothing to do any more, and never in step with its timers. */
const pauseMs = () => 150 + Math.random() * 350;

export const w3: Workload = {
  name: 'W3',
  title: 'start() elsewhere, to the first line of the first step; idle worker',
  systems: ['ours', 'stock', 'dbos-queue'],
  shown: ['msP50', 'msP99'],
  async measure({ quick, ...situation }) {
    const { result } = await inSession({ ...situation, starter: true }, async (session) => {
      const times: number[] = [];
      const startOne = async () => {
        await delay(pauseMs());
        const wanted = session.steps + 1;
        const { at, runIds } = await session.starter.ask<{ at: number; runIds: string[] }>(
          'timedStart',
          'sequentialWorkflow',
          [1],
          1,
        );
        await session.completed(runIds, wanted);
        return session.lastStepAt - at;
      };
      for (let n = 0; n < (quick ? 1 : 5); n += 1) await startOne();
      for (let n = 0; n < (quick ? 3 : 50); n += 1) times.push(await startOne());
      return { msP50: median(times), msP99: quantile(times, 0.99) };
    });
    return result;
  },
};
