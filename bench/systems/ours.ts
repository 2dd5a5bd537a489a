import { setUpDatabase } from '../../src/postgres/setup.ts';
import { workerFile, type System } from './system.ts';

export const RUN_STATUSES = `
  SELECT status::text AS status, count(*)::integer AS runs FROM workflow.workflow_runs WHERE id = ANY ($1) GROUP BY 1`;

/** This project, as its example runs. */
export const ours: System = {
  name: 'ours',
  title: 'this project',
  setUp: async (url) => void (await setUpDatabase(url, 'workflow_queue')),
  worker: workerFile('ours'),
  statuses: RUN_STATUSES,
  completed: 'completed',
  jobTables: `schemaname = 'workflow_queue' AND relname LIKE 'job%'`,
};
