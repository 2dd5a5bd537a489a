import { withClient } from '../../src/postgres/with-client.ts';
import { until } from '../../tests/support/until.ts';
import { multiplyRuns } from '../setting/multiply.ts';
import type { BenchServer } from '../setting/server.ts';
import { inSession } from '../setting/session.ts';
import { measureSequential } from './w1-sequential.ts';
import type { Figures, Situation, Workload } from './workload.ts';

/** Really started; the others are made from them. */
const REAL = 50;

const PARKED = `
  SELECT FROM workflow.workflow_hooks h JOIN workflow_engine.run_progress p USING (run_id)
  WHERE run_id = ANY ($1) AND wake_seq = seen_seq AND NOT EXISTS (
    SELECT FROM workflow_queue.job WHERE state <= 'active' AND singleton_key = p.run_id)`;

/** One for all turns: it takes a minute to make. */
const crowds = new WeakMap<BenchServer, Promise<string>>();

export const w6: Workload = {
  name: 'W6',
  title: 'W1 beside 10,000 parked and 50,000 finished runs',
  systems: ['ours'],
  shown: ['msPerStepP50', 'emptyMsPerStepP50', 'timesEmpty', 'cpuMsPerStep'],
  async measure(situation) {
    const { server, quick } = situation;
    const crowd = crowds.get(server) ?? makeCrowd(situation);
    crowds.set(server, crowd);
    const template = await crowd;
    const measure = async (database: string) =>
      (await inSession({ ...situation, template: database }, (session) => measureSequential(session, quick))).result;
    const empty = await measure(situation.template);
    const crowded = await measure(template);
    return {
      ...crowded,
      emptyMsPerStepP50: empty.msPerStepP50!,
      timesEmpty: crowded.msPerStepP50! / empty.msPerStepP50!,
    } satisfies Figures;
  },
};

/** Returns the name of a database that is full of them. */
async function makeCrowd({ quick, ...situation }: Situation): Promise<string> {
  const name = 'bench_crowd';
  const [parked, finished] = quick ? [2, 4] : [10_000 / REAL, 50_000 / REAL];
  const { result } = await inSession({ ...situation, keepAs: name }, async (session) => {
    await session.run({ workflow: 'fanOutWorkflow', steps: 4 }, REAL);
    const parkedIds = await session.workers[0]!.ask<string[]>('start', 'parkedWorkflow', [], REAL);
    await until('as many runs are parked', async () => {
      const { rowCount } = await session.client.query(PARKED, [parkedIds]);
      return rowCount === REAL;
    });
    return { url: session.url, parkedIds };
  });
  await withClient(result.url, 'bench', async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `SELECT id FROM workflow.workflow_runs WHERE status = 'completed'`,
    );
    const finishedIds = rows.map(({ id }) => id);
    await multiplyRuns(client, result.parkedIds, parked - 1);
    await multiplyRuns(client, finishedIds, finished - 1);
    await client.query('VACUUM ANALYZE');
  });
  return name;
}
