/** The counter-examples of the model (`npm run model -- --without RULE`), in their order, against the real thing. */
import { expect, test } from 'vitest';
import {
  connect,
  createProtocol,
  fetchRun,
  hookEvents,
  stepEvents,
  type Holder,
  type Protocol,
} from '../support/protocol.ts';
import { until } from '../support/until.ts';

const STEP = 'step_1';

/** One that lost the run without knowing it, and one that has it now. */
async function takeOver(protocol: Protocol, zombie: Holder): Promise<Holder> {
  await protocol.lapse(zombie);
  return fetchRun(protocol);
}

const parking = (seenSeq: number, delaySeconds?: number) => ({ seenSeq, delaySeconds, awaitsSteps: false });

test('a run has one job, however many wake it at the same moment: no step is created twice (vercel/workflow #2039)', async () => {
  const protocol = await createProtocol();
  const { jobs, queues, runId, data } = protocol;

  await Promise.all(Array.from({ length: 10 }, () => jobs.wake(queues.flows, runId, data)));
  const holder = await fetchRun(protocol);
  await Promise.all(Array.from({ length: 10 }, () => jobs.wake(queues.flows, runId, data)));

  expect(holder.lease.retryCount).toBe(0);
  expect(await protocol.fetch(queues.flows)).toBeUndefined();
  expect(await protocol.openJobs()).toEqual([{ state: 'active', due: true }]);
});

test('a hook that arrives between the last replay and the park is not slept over', async () => {
  const protocol = await createProtocol();
  const { jobs, queues, runId, data } = protocol;
  const driver = await fetchRun(protocol);
  const seen = await protocol.wakeSeq();
  await driver.write(hookEvents.created());
  await protocol.write(hookEvents.received());
  await jobs.wake(queues.flows, runId, data);

  expect(await jobs.park(driver.lease, runId, data, parking(seen + 1, 3_600))).toBe(false);
  expect(await protocol.openJobs()).toEqual([{ state: 'active', due: true }]);
  expect(await jobs.park(driver.lease, runId, data, parking(seen + 2, 3_600))).toBe(true);
  expect(await protocol.openJobs()).toEqual([{ state: 'created', due: false }]);
});

test('a hook does not wait for the timer on which its run is parked', async () => {
  const protocol = await createProtocol();
  const { jobs, queues, runId, data } = protocol;
  const driver = await fetchRun(protocol);
  await driver.write(hookEvents.created());
  await jobs.park(driver.lease, runId, data, parking(await protocol.wakeSeq(), 3_600));
  await protocol.write(hookEvents.received());

  await jobs.wake(queues.flows, runId, data);

  expect(await protocol.openJobs()).toEqual([{ state: 'created', due: true }]);
});

test('a wake that comes while the job is being completed sends a new one', async () => {
  const protocol = await createProtocol();
  const { jobs, queues, runId, data, url } = protocol;
  const { lease } = await fetchRun(protocol);
  await using other = await connect(url);
  await other.query('BEGIN');
  await other.query(`UPDATE workflow_queue.job SET state = 'completed' WHERE id = $1`, [lease.jobId]);
  const waking = jobs.wake(queues.flows, runId, data);
  const waitsForLock = async () =>
    (
      await protocol.query(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
      )
    ).length > 0;
  await until('the wake waits for the end of that transaction', waitsForLock);

  await other.query('COMMIT');
  await waking;

  expect(await protocol.openJobs()).toEqual([{ state: 'created', due: true }]);
});

test('a driver that lost its lease cannot write an event', async () => {
  const protocol = await createProtocol();
  const zombie = await fetchRun(protocol);
  const driver = await takeOver(protocol, zombie);

  await expect(zombie.write(stepEvents.created(STEP))).rejects.toThrow('the lease');
  expect(await protocol.query('SELECT FROM workflow.workflow_steps')).toEqual([]);
  await driver.write(stepEvents.created(STEP));
});

test('a driver that lost its lease cannot give away the one of its successor', async () => {
  const protocol = await createProtocol();
  const { jobs, runId, data } = protocol;
  const zombie = await fetchRun(protocol);
  const driver = await takeOver(protocol, zombie);
  const seen = await protocol.wakeSeq();

  expect(await jobs.park(zombie.lease, runId, data, parking(seen))).toBe(false);
  await jobs.replace(zombie.lease, runId, data);
  await jobs.complete(zombie.lease);
  await jobs.retry(zombie.lease, runId, data, new Error('of the zombie'));

  expect(await protocol.openJobs()).toEqual([{ state: 'active', due: true }]);
  expect(await jobs.park(driver.lease, runId, data, parking(seen))).toBe(true);
});

test('a driver that lost its lease begins no step, though it was the one that created it', async () => {
  const protocol = await createProtocol();
  const zombie = await fetchRun(protocol);
  await zombie.write(stepEvents.created(STEP));
  await takeOver(protocol, zombie);

  await expect(zombie.writeInStep(STEP, stepEvents.started(STEP))).rejects.toThrow('the lease');
});

test('a driver that lost its lease does not queue a step that its successor executes itself', async () => {
  const protocol = await createProtocol();
  const { jobs, queues, data } = protocol;
  const zombie = await fetchRun(protocol);
  const driver = await takeOver(protocol, zombie);
  await driver.write(stepEvents.created(STEP));
  await driver.writeInStep(STEP, stepEvents.started(STEP));

  // It has loaded the log after its successor created the step.
  await expect(jobs.sendStep(queues.steps, STEP, data, 0, zombie.lease)).rejects.toThrow('the lease');

  expect(await protocol.fetch(queues.steps)).toBeUndefined();
});

test('a step that is queued or executed elsewhere is not queued a second time', async () => {
  const protocol = await createProtocol();
  const { jobs, queues, data } = protocol;
  const first = await fetchRun(protocol);
  await first.write(stepEvents.created(STEP));
  await jobs.sendStep(queues.steps, STEP, data, 0, first.lease);
  const executor = await protocol.fetch(queues.steps);
  await executor?.writeInStep(STEP, stepEvents.started(STEP));
  const second = await takeOver(protocol, first);

  await jobs.sendStep(queues.steps, STEP, data, 0, second.lease);

  expect(await protocol.fetch(queues.steps)).toBeUndefined();
});

test('a result of a step whose lease was lost is accepted, once', async () => {
  const protocol = await createProtocol();
  const zombie = await fetchRun(protocol);
  await zombie.write(stepEvents.created(STEP));
  await zombie.writeInStep(STEP, stepEvents.started(STEP));
  const driver = await takeOver(protocol, zombie);
  const before = await protocol.wakeSeq();

  await zombie.writeInStep(STEP, stepEvents.completed(STEP));

  expect(await protocol.wakeSeq()).toBe(before + 1);
  await expect(driver.writeInStep(STEP, stepEvents.completed(STEP))).rejects.toThrow('terminal state');
  await expect(driver.writeInStep(STEP, stepEvents.started(STEP))).rejects.toThrow('terminal state');
  expect(await protocol.query(`SELECT FROM workflow.workflow_events WHERE type = 'step_completed'`)).toHaveLength(1);
});

test('a job is replaced as a whole: when its successor cannot be sent, it is still there', async () => {
  const protocol = await createProtocol();
  const { jobs, runId, data } = protocol;
  const driver = await fetchRun(protocol);
  await protocol.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON workflow_queue.job_common FOR EACH ROW EXECUTE FUNCTION refuse()`);

  await expect(jobs.replace(driver.lease, runId, data)).rejects.toThrow('refused by the test');

  expect(await protocol.openJobs()).toEqual([{ state: 'active', due: true }]);
});

test('of two steps that begin in the same moment, the one that has a result is refused, and the other begins as itself', async () => {
  const protocol = await createProtocol();
  const driver = await fetchRun(protocol);
  const steps = ['step_1', 'step_2', 'step_3'];
  await Promise.all(steps.map((step) => driver.write(stepEvents.created(step))));
  await driver.writeInStep('step_2', stepEvents.completed('step_2'));

  const begun = await Promise.allSettled(steps.map((step) => driver.writeInStep(step, stepEvents.started(step))));

  expect(begun.map((it) => (it.status === 'fulfilled' ? it.value.step?.stepId : it.status))).toEqual([
    'step_1',
    'rejected',
    'step_3',
  ]);
  const started = await protocol.query<{ id: string }>(
    `SELECT correlation_id AS id FROM workflow.workflow_events WHERE type = 'step_started' ORDER BY id`,
  );
  expect(started.map(({ id }) => id)).toEqual(['step_1', 'step_3']);
});
