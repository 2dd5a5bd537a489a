import { median, quantile } from '../report/statistics.ts';
import { inSession, type Session } from '../setting/session.ts';
import { perStep, type Figures, type Workload } from './workload.ts';

const STEPS = 10;
const RUN = { workflow: 'sequentialWorkflow', args: [STEPS], steps: STEPS };

export const w1: Workload = {
  name: 'W1',
  title: '10 sequential no-op steps, one run at a time',
  systems: ['floor', 'ours', 'stock', 'dbos'],
  shown: ['msPerStepP50', 'msPerStepP99', 'cpuMsPerStep', 'transactionsPerStep', 'fsyncsPerStep', 'walBytesPerStep'],
  async measure({ quick, ...situation }) {
    const { result, totals } = await inSession(situation, (session) => measureSequential(session, quick));
    return { ...result, fsyncsPerStep: totals.fsyncsPerStep };
  },
};

/** Also what W6 measures, beside many others. */
export async function measureSequential(session: Session, quick: boolean): Promise<Figures> {
  const runs = quick ? 3 : 50;
  for (let n = 0; n < (quick ? 1 : 50); n += 1) await session.run(RUN);
  const used = await session.countUsage();
  const msPerStep: number[] = [];
  for (let n = 0; n < runs; n += 1) msPerStep.push((await session.run(RUN)) / STEPS);
  const usage = await used();
  return {
    msPerStepP50: median(msPerStep),
    msPerStepP99: quantile(msPerStep, 0.99),
    ...perStep(usage, runs * STEPS),
  };
}
