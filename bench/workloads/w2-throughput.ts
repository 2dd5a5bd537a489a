import { inSession } from '../setting/session.ts';
import { perStep, type Figures, type Situation, type Workload } from './workload.ts';

const RUN = { workflow: 'fanOutWorkflow', steps: 4 };

export const w2: Workload = {
  name: 'W2',
  title: '500 runs of 3 parallel steps and one more, started as fast as possible',
  systems: ['floor', 'ours', 'stock', 'dbos', 'dbos-queue'],
  shown: ['stepsPerSecond', 'cpuMsPerStep', 'transactionsPerStep', 'fsyncsPerStep', 'walBytesPerStep'],
  measure: (situation) => measureThroughput(situation, 1),
};

export const w2x3: Workload = {
  name: 'W2x3',
  title: 'the same with three worker processes; steps that ran twice',
  systems: ['ours', 'stock', 'dbos-queue'],
  shown: ['stepsPerSecond', 'stepsTwice', 'cpuMsPerStep', 'transactionsPerStep'],
  measure: (situation) => measureThroughput(situation, 3),
};

async function measureThroughput({ quick, ...situation }: Situation, workers: number): Promise<Figures> {
  const runs = quick ? 20 : 500;
  const { result, totals } = await inSession({ ...situation, workers }, async (session) => {
    // A process that has just started costs twice as much: it compiles. One of three would go on with that for
    // longer, having a third of the runs.
    await session.run(RUN, quick ? 2 : 300 * workers);
    const used = await session.countUsage();
    const ms = await session.run(RUN, runs);
    const usage = await used();
    const { steps } = await session.counters();
    const stepsTwice = [...steps.values()].filter((times) => times > 1).length;
    // Of the peers it is a figure; here it is a broken promise.
    if (stepsTwice > 0 && session.system.name === 'ours') throw new Error(`${stepsTwice} steps ran more than once`);
    const total = runs * RUN.steps;
    return { stepsPerSecond: (total * 1_000) / ms, stepsTwice, ...perStep(usage, total) };
  });
  return { ...result, fsyncsPerStep: totals.fsyncsPerStep };
}
