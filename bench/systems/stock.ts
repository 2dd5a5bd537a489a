import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROJECT } from '../../tests/support/program.ts';
import { RUN_STATUSES } from './ours.ts';
import { workerFile, type System } from './system.ts';

/** Workflow DevKit on `@workflow/world-postgres`, with its own queue, set up by its own command. */
export const stock: System = {
  name: 'stock',
  title: 'Workflow DevKit with world-postgres as it comes',
  async setUp(url) {
    const bin = join(PROJECT, 'node_modules/.bin');
    await promisify(execFile)(join(bin, 'bootstrap'), {
      cwd: PROJECT,
      env: { PATH: `${bin}:${process.env.PATH}`, WORKFLOW_POSTGRES_URL: url },
    });
  },
  worker: workerFile('stock'),
  statuses: RUN_STATUSES,
  completed: 'completed',
  jobTables: `schemaname = 'graphile_worker' AND relname = '_private_jobs'`,
};
