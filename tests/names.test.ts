/** What others may write in the database decides nothing: names, and the statements that setup makes of them. */
import { expect, test } from 'vitest';
import { answerRunStatus, answerStatus } from '../src/cli/status.ts';
import { pruneRuns } from '../src/prune/prune-runs.ts';
import { redriveRun } from '../src/runtime/redrive.ts';
import { checkDatabase, setUpDatabase } from '../src/postgres/setup.ts';
import { createHostileDatabase } from './support/hostile-public.ts';
import { startPage } from './support/page.ts';
import { run, startCommand } from './support/program.ts';
import { runEverything, withWorker } from './support/world.ts';

test('no function, operator, type or table that others have made in public is ever used: by setup, workers, commands or tools', async () => {
  const database = await createHostileDatabase();
  await checkDatabase(database.url, 'workflow_queue');
  await setUpDatabase(database.url, 'workflow_queue');
  await checkDatabase(database.url, 'workflow_queue');

  const runId = await withWorker({ connectionString: database.url, worker: true }, async (world) => {
    const { getRun, start } = await import('workflow/api');
    const [completed, cancelled] = [await runEverything(world), await start(world.workflows.foreverWorkflow!, [])];
    await getRun(cancelled.runId).cancel();
    await redriveRun(world, cancelled.runId);
    await answerStatus(world, 10);
    await answerRunStatus(world, completed);
    const { jobPrefix, queueSchema } = world.config;
    for (const dryRun of [true, false]) {
      await pruneRuns(world.pool, { jobPrefix, queueSchema, olderThanSeconds: 3_600, dryRun });
    }
    return completed;
  });
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const [inspected, page] = await Promise.all([
    run(startCommand('npm', ['run', '-s', 'postgres-world:inspect', '--', 'runs', '--json'], { env })),
    startPage('dashboard', { env }),
  ]);
  expect(inspected.stdout).toContain(runId);
  for (const path of ['', '/jobs', '/queues']) expect((await fetch(page.url + path)).status).toBe(200);

  expect(await database.calls()).toEqual([]);
  const [attacker] = await database.query<{ rolsuper: boolean }>(
    `SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) '${database.attacker}'`,
  );
  expect(attacker).toEqual({ rolsuper: false });
  // Such a statement would have been noticed.
  await database.query(`SELECT FROM workflow.workflow_runs WHERE id = 'x'::text`);
  await database.query('SELECT FROM pg_class');
  const noticed = (await database.calls()).map(({ called }) => called);
  expect(noticed).toEqual(expect.arrayContaining(['character varying = text', 'type text', 'table pg_class']));
});
