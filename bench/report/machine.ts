import { execFile } from 'node:child_process';
import { cpus, platform, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { PROJECT } from '../../tests/support/program.ts';
import type { BenchServer } from '../setting/server.ts';

/** Where the figures come from. */
export async function describeMachine({ version, settings }: BenchServer) {
  const git = (...args: string[]) =>
    promisify(execFile)('git', args, { cwd: PROJECT }).then(
      ({ stdout }) => stdout.trim(),
      () => undefined,
    );
  const changed = await git('status', '--porcelain');
  return {
    date: new Date().toISOString(),
    commit: `${(await git('rev-parse', 'HEAD')) ?? 'unknown'}${changed ? ', changed' : ''}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()}`,
    node: process.version,
    postgres: version,
    settings,
  };
}
