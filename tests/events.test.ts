import { expect, test } from 'vitest';
import { createApplication, type Application } from './support/application.ts';
import { until } from './support/until.ts';

/** Makes the database refuse the event of a kind for the first `times`, with an SQLSTATE. */
async function refuseEvents(app: Application, type: string, times: number, sqlState: string): Promise<void> {
  await refuse(app, 'workflow.workflow_events', `NEW.type = '${type}'`, times, sqlState);
}

async function refuse(
  app: Application,
  table: string,
  condition: string,
  times: number,
  sqlState: string,
): Promise<void> {
  // A sequence counts across transactions that are rolled back.
  await app.query('CREATE SEQUENCE public.refusals');
  await app.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF nextval('public.refusals') <= ${times} THEN
        RAISE EXCEPTION 'refused by the test' USING ERRCODE = '${sqlState}';
      END IF;
      RETURN NEW;
    END $$`);
  await app.query(`
    CREATE TRIGGER refuse BEFORE INSERT ON ${table}
    FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION refuse()`);
}

test('a result survives a database that refuses it for a moment: the step is not executed again', async () => {
  const app = await createApplication();
  await refuseEvents(app, 'step_completed', 3, '40001');
  await app.startWorker();
  const [runId = ''] = await app.start('sequenceWorkflow', [2]);

  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.executions()).toHaveLength(2);
});

test('a result that waited for the database is recorded, though the lease ran out meanwhile', async () => {
  const app = await createApplication();
  await refuseEvents(app, 'step_completed', 9, '40001');
  await app.startWorker();
  const [runId = ''] = await app.start('sequenceWorkflow', [1]);
  await until('the step is executed', async () => (await app.executions()).length === 1);
  // As if the monitor had given the job to somebody else.
  await app.query(`UPDATE workflow_queue.job SET retry_count = retry_count + 1 WHERE state = 'active'`);

  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(await app.executions()).toHaveLength(1);
});

/** Row and event in separate commits wedge the stock World here (vercel/workflow #3081). */
test.each(['step_created', 'step_completed', 'wait_created', 'wait_completed', 'run_completed', 'hook_created'])(
  'when the event %s cannot be written, nothing of it is, and the run goes on afterwards',
  async (type) => {
    const app = await createApplication();
    await refuseEvents(app, type, 2, 'P0001');
    await app.startWorker();
    const workflow = type === 'hook_created' ? 'hookWorkflow' : 'mixedWithoutHookWorkflow';
    const [runId = ''] = await app.start(workflow, ['refused']);

    expect(await app.ended(runId)).toEqual({ status: 'completed' });
    const [{ count } = { count: 0 }] = await app.query<{ count: number }>(
      `SELECT count(*)::int FROM workflow_events WHERE type = 'run_completed'`,
    );
    expect(count).toBe(1);
    const halves = await app.query(
      `SELECT step_id FROM workflow_steps s WHERE status = 'completed' AND NOT EXISTS (
         SELECT FROM workflow_events e WHERE e.correlation_id = s.step_id AND e.type = 'step_completed')`,
    );
    expect(halves).toEqual([]);
  },
);

test('a result that is rolled back with the end of its stream is not remembered: the run goes on when both are written', async () => {
  const app = await createApplication();
  await refuse(app, 'workflow.workflow_stream_chunks', 'NEW.eof', 2, '40001');
  await app.startWorker();
  const [runId = ''] = await app.start('streamingWorkflow', [['one', 'two'], 10]);

  expect(await app.ended(runId)).toEqual({ status: 'completed' });
});

test('a server that has crashed before it flushed the beginning of a run does not wedge it', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('sequenceOfWaitsWorkflow', [2, 2_000]);
  await until('a step is executed', async () => (await app.executions()).length === 1);
  // What such a crash leaves: all that was committed without waiting for the disk is gone.
  await app.query(`
    WITH gone AS (DELETE FROM workflow.workflow_events WHERE type <> 'run_created'), steps AS (
      DELETE FROM workflow.workflow_steps), run AS (
      UPDATE workflow.workflow_runs SET status = 'pending', started_at = NULL)
    UPDATE workflow_engine.run_progress
    SET wake_seq = 1, last_event_id = (SELECT substr(id, 6) FROM workflow.workflow_events WHERE type = 'run_created')`);

  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  const events = await app.query<{ type: string; count: number }>(
    'SELECT type, count(*)::int FROM workflow.workflow_events GROUP BY type',
  );
  const counts = Object.fromEntries(events.map(({ type, count }) => [type, count]));
  expect(counts).toMatchObject({
    run_created: 1,
    run_started: 1,
    step_created: 2,
    step_completed: 2,
    run_completed: 1,
  });
});
