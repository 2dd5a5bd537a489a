/** How a driver finds its run, and what it takes for the whole of it. */
import { expect, test } from 'vitest';
import { findForgottenRuns } from '../../src/queue/forgotten-runs.ts';
import { connect, createProtocol, fetchRun, hookEvents, stepEvents } from '../support/protocol.ts';

const STEP = 'step_1';

test('a run is opened with its whole log, also where that is long, or begins with something large', async () => {
  const protocol = await createProtocol();
  const driver = await fetchRun(protocol);
  for (let n = 0; n < 3; n += 1) await driver.write(stepEvents.created(`large_${n}`, 50_000));
  for (let n = 0; n < 250; n += 1) await driver.write(stepEvents.created(`step_${n}`));

  const { events } = await driver.write({ eventType: 'run_started', specVersion: 2 });

  const ids = await protocol.query<{ id: string }>('SELECT id FROM workflow.workflow_events ORDER BY id');
  expect(events).toHaveLength(255);
  expect(events!.map(({ eventId }) => eventId)).toEqual(ids.map(({ id }) => id));
});

test('a replay whose start the server has lost in a crash writes nothing: another start has other random numbers', async () => {
  const protocol = await createProtocol();
  const driver = await fetchRun(protocol);
  await protocol.query(`
    DELETE FROM workflow.workflow_events WHERE type = 'run_started';
    UPDATE workflow.workflow_runs SET status = 'pending', started_at = NULL;
    UPDATE workflow_engine.run_progress
    SET wake_seq = 1, last_event_id = (SELECT substr(id, 6) FROM workflow.workflow_events)`);

  for (const event of [stepEvents.created(STEP), hookEvents.created()])
    await expect(driver.write(event)).rejects.toThrow('the start');
  await driver.write({ eventType: 'run_started', specVersion: 2 });
  await driver.write(stepEvents.created(STEP));
});

test('the sweep finds a run that nobody will see to, but not one whose first message may be under way', async () => {
  const { query, url, jobs, queues, runId, data } = await createProtocol();
  await using client = await connect(url);
  const found = async () => (await findForgottenRuns(client, 'workflow_', 'workflow_queue')).map((run) => run.runId);
  expect(await found()).toEqual([]);

  await query(`UPDATE workflow_queue.job SET start_after = now() + interval '1 minute'`);
  expect(await found()).toEqual([runId]);
  await query(`UPDATE workflow_queue.job SET state = 'retry'`);
  expect(await found()).toEqual([]);
  await query('DELETE FROM workflow_queue.job');
  expect(await found()).toEqual([runId]);

  await query('UPDATE workflow_engine.run_progress SET wake_seq = 1');
  expect(await found()).toEqual([]);
  await query(`UPDATE workflow_engine.run_progress SET created_at = now() - interval '6 seconds'`);
  expect(await found()).toEqual([runId]);
  await jobs.wake(queues.flows, runId, data);
  expect(await found()).toEqual([]);
});
