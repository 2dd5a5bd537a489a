import { withClient } from '../../src/postgres/with-client.ts';
import { workerFile, type System } from './system.ts';

/** One statement per step, by hand. */
export const floor: System = {
  name: 'floor',
  title: 'one INSERT per step, by hand',
  setUp: (url) =>
    withClient(url, 'bench', async (client) => {
      await client.query(
        `CREATE TABLE public.steps (run_id text, step_id integer, result jsonb, at timestamptz DEFAULT now(),
         PRIMARY KEY (run_id, step_id))`,
      );
    }),
  worker: workerFile('floor'),
  statuses: `SELECT 'completed' AS status, count(DISTINCT run_id)::integer AS runs FROM steps WHERE run_id = ANY ($1)`,
  completed: 'completed',
};
