import { expect, test } from 'vitest';
import { createApplication, type Application } from './support/application.ts';
import { until } from './support/until.ts';

/** Makes the database refuse the event of a kind for the first `times`, with an SQLSTATE. */
async function refuseEvents(app: Application, type: string, times: number, sqlState: string): Promise<void> {
  // A sequence counts across transactions that are rolled back.
  await app.query('CREATE SEQUENCE refusals');
  await app.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF nextval('refusals') <= ${times} THEN
        RAISE EXCEPTION 'refused by the test' USING ERRCODE = '${sqlState}';
      END IF;
      RETURN NEW;
    END $$`);
  await app.query(`
    CREATE TRIGGER refuse BEFORE INSERT ON workflow.workflow_events
    FOR EACH ROW WHEN (NEW.type = '${type}') EXECUTE FUNCTION refuse()`);
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
