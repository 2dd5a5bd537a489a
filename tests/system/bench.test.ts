/** That the benchmark works; what it measures is for a quiet machine. It installs its peers from npm. */
import { expect, test } from 'vitest';
import { run, startCommand } from '../support/program.ts';

interface Document {
  machine: { settings: Record<string, string> };
  systems: Record<string, { missing: string | null }>;
  measurements: { workload: string; system: string; figures?: Record<string, number>; error?: string }[];
}

/** What the figures of a workload have in them at least. */
const FIGURES = { W1: ['msPerStepP50', 'transactionsPerStep', 'fsyncsPerStep'], W5: ['totalMs10', 'replays10'] };

test('the benchmark measures every system, or says why it cannot', { timeout: 900_000 }, async () => {
  const bench = startCommand('npm', ['run', '-s', 'bench', '--', '--quick', '--only', 'W1,W5', '--json']);
  const { exitCode, stdout, stderr } = await run(bench);
  expect([exitCode, stderr]).toEqual([0, expect.anything()]);
  const { machine, systems, measurements } = JSON.parse(stdout) as Document;

  expect(machine.settings).toMatchObject({ fsync: 'on', synchronous_commit: 'on' });
  expect(Object.keys(systems)).toEqual(['floor', 'ours', 'stock', 'dbos', 'dbos-queue']);
  // They are here whatever npm says.
  for (const system of ['floor', 'ours', 'stock']) expect(systems[system]).toEqual({ missing: null });
  const measured = new Set(measurements.map(({ system, workload }) => `${system} ${workload}`));
  const wanted = ['floor W1', 'ours W1', 'stock W1', 'dbos W1', 'ours W5', 'stock W5', 'dbos W5'];
  expect([...measured].toSorted()).toEqual(wanted.filter((it) => !systems[it.split(' ')[0]!]?.missing).toSorted());
  for (const { workload, figures = {}, error } of measurements) {
    expect(error).toBeUndefined();
    for (const name of FIGURES[workload as keyof typeof FIGURES]) expect(figures).toHaveProperty(name);
    for (const value of Object.values(figures)) expect(value).toSatisfy(Number.isFinite);
  }
});
