/** Setup beside workers that go on, and others who hold its tables. */
import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { checkDatabase, setUpDatabase } from '../src/postgres/setup.ts';
import { createRole, createTestDatabase } from './support/database.ts';
import { LITHUANIAN } from './support/lithuanian.ts';
import { connect } from './support/protocol.ts';
import { until } from './support/until.ts';
import { withWorker } from './support/world.ts';

const QUEUE = 'workflow_queue';

test('a transaction that holds a table for long keeps setup waiting, but no worker: who it is is said, and then setup is done', async () => {
  const database = await createTestDatabase({ setUp: false, locale: LITHUANIAN });
  await setUpDatabase(database.url, QUEUE);
  const stranger = await createRole(database);
  await database.query(`GRANT USAGE ON SCHEMA workflow TO ${stranger.name};
    GRANT SELECT ON workflow.workflow_waits TO ${stranger.name}`);
  await using holder = await connect(stranger.url);

  await withWorker({ connectionString: database.url, worker: true }, async ({ workflows }) => {
    const { start } = await import('workflow/api');
    // As an earlier version has left it: every table is to be changed.
    await database.query('ALTER TABLE workflow.workflow_runs ALTER COLUMN id TYPE varchar COLLATE "default"');
    await holder.query('BEGIN; SELECT FROM workflow.workflow_waits');
    const namesHim = expect.stringMatching(new RegExp(`process \\d+ of the role "${stranger.name}"`)) as string;
    await expect(setUpDatabase(database.url, QUEUE, { patienceMs: 0 })).rejects.toMatchObject({ message: namesHim });

    const said: string[] = [];
    let isDone = false;
    const setUp = setUpDatabase(database.url, QUEUE, { log: (line) => said.push(line) }).finally(() => (isDone = true));
    setUp.catch(() => undefined);
    let longestMs = 0;
    await until('setup has tried, and the worker has worked meanwhile', async () => {
      const beganAt = performance.now();
      await (
        await start(workflows.chainWorkflow!, [1, 1])
      ).returnValue;
      longestMs = Math.max(longestMs, performance.now() - beganAt);
      return said.length > 0;
    });
    expect(said).toEqual([namesHim]);
    expect(said[0]).toContain('Trying again, for 60 s at most');
    expect(longestMs).toBeLessThan(10_000);
    expect(isDone).toBe(false);

    await holder.query('COMMIT');
    await setUp;
    // Its sessions have prepared statements for the tables as they were.
    await (
      await start(workflows.chainWorkflow!, [1, 1])
    ).returnValue;
  });
  const { parts } = await checkDatabase(database.url, QUEUE);
  expect(parts.filter(({ sql }) => sql.length > 0)).toEqual([]);
});
