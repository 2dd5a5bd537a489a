import { expect, test } from 'vitest';
import type { RestartsReport } from '../restarts/report.ts';
import { run, startCommand } from '../support/program.ts';

test(
  'a server that crashes every few seconds loses no chunk of a stream, and costs no attempt of the step that writes it',
  { timeout: 300_000 },
  async () => {
    const command = ['run', '-s', 'chaos:restarts', '--', '--runs', '40', '--every', '2', '--json'];
    const { stdout, stderr } = await run(startCommand('npm', command));
    console.log(stderr);
    const report = JSON.parse(stdout) as RestartsReport;

    expect(report.problems).toEqual([]);
    expect(report.runs).toBe(40);
    expect(report.restarts).toBeGreaterThan(1);
  },
);
