/** However a run ends, and whatever is broken at that moment: the model calls that are made for it are killed. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createApplication, type Application } from '../support/application.ts';
import { createTestDatabase } from '../support/database.ts';
import { clisOf, LONG_TEXT, msUntilKilled, openJobs } from '../support/long-answers.ts';
import { areGone, runningClis } from '../support/processes.ts';
import { PROJECT, run, startProgram, type Program } from '../support/program.ts';
import { until } from '../support/until.ts';

const ROUNDS = 4;

const ONE_SLOT = { WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '1' };

const cancel = (app: Application, runId: string) =>
  run(startProgram(join(PROJECT, 'index.ts'), ['cancel', runId], { env: app.env }));
const startResearch = async (app: Application) => (await app.start('multiAgentResearchWorkflow', [LONG_TEXT]))[0]!;

/** The run stays cancelled, nothing of it is left in the queue, and nobody has begun anything for it since. */
async function expectOver(app: Application, runId: string, workers: readonly Program[]): Promise<void> {
  await until('no job of it is left', async () => (await openJobs(app, runId)).length === 0, 15_000);
  const later = await app.query(
    `SELECT type FROM workflow_events WHERE run_id = $1 AND id > (
       SELECT id FROM workflow_events WHERE run_id = $1 AND type = 'run_cancelled')`,
    [runId],
  );
  expect(later).toEqual([]);
  expect(await app.query('SELECT status::text FROM workflow_runs WHERE id = $1', [runId])).toEqual([
    { status: 'cancelled' },
  ]);
  for (const worker of workers) {
    expect(await runningClis(worker.pid)).toEqual([]);
    expect(worker.stderr).not.toContain('could not be finished');
  }
}

test('the model calls of a run on two workers are gone about a second after it was cancelled, round by round', async () => {
  const app = await createApplication();
  const workers = await Promise.all([app.startWorker(ONE_SLOT), app.startWorker(ONE_SLOT)]);
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const runId = await startResearch(app);
    const clis = await clisOf(workers, 2);
    const [ms] = await Promise.all([msUntilKilled(app, runId, clis), cancel(app, runId)]);
    times.push(ms);
    await expectOver(app, runId, workers);
  }
  expect(times.every((ms) => ms < 3_500)).toBe(true);
  console.log(`Model calls were gone after ${times.join(', ')} ms.`);
});

test('without notifications, and by a tool that tells nobody, it takes no longer', async () => {
  const elsewhere = await createTestDatabase();
  const app = await createApplication((url) => ({
    WORKFLOW_POSTGRES_URL: url,
    WORKFLOW_POSTGRES_DIRECT_URL: elsewhere.url,
  }));
  const workers = await Promise.all([app.startWorker(ONE_SLOT), app.startWorker(ONE_SLOT)]);
  for (const worker of workers) expect(worker.stderr).toContain('brings no notifications: polling');
  const first = await startResearch(app);
  const clis = await clisOf(workers, 2);
  const [ms] = await Promise.all([msUntilKilled(app, first, clis), cancel(app, first)]);
  await expectOver(app, first, workers);

  const second = await startResearch(app);
  const more = await clisOf(workers, 2);
  await app.query(
    `UPDATE workflow_runs SET status = 'cancelled', completed_at = now() AT TIME ZONE 'UTC' WHERE id = $1`,
    [second],
  );
  console.log(`Gone after ${ms} ms without notifications, ${await msUntilKilled(app, second, more)} ms by SQL.`);
  await expectOver(app, second, workers);
});

test('a step that is executed elsewhere is cut off although the driver is stopped, and the rest when that goes on', async () => {
  const app = await createApplication();
  const driver = await app.startWorker(ONE_SLOT);
  const runId = await startResearch(app);
  const ofDriver = await clisOf([driver], 1);
  const other = await app.startWorker(ONE_SLOT);
  const elsewhere = await clisOf([other], 1);
  driver.kill('SIGSTOP');
  const [ms, cancelled] = await Promise.all([msUntilKilled(app, runId, elsewhere), cancel(app, runId)]);
  const stillThere = await runningClis(driver.pid);
  driver.kill('SIGCONT');

  expect(stillThere).toEqual(ofDriver);
  expect(cancelled.exitCode).toBe(0);
  await until('the CLI of the driver is gone, too', () => areGone(ofDriver), 3_000);
  await expectOver(app, runId, [driver, other]);
  console.log(`Gone after ${ms} ms, with a driver that does nothing.`);
});

test('a run that is driven alone, in a process of its own, is cut off there', async () => {
  const app = await createApplication();
  const runId = await startResearch(app);
  await app.query('UPDATE workflow_engine.run_progress SET deaths = 5');
  const worker = await app.startWorker();
  const clis = await clisOf([worker], 3);
  expect(clis.map(({ parent }) => parent)).not.toContain(worker.pid);
  const [ms, cancelled] = await Promise.all([msUntilKilled(app, runId, clis), cancel(app, runId)]);

  expect(cancelled.stdout).toContain('3 steps were being executed');
  expect(cancelled.stdout).toContain('no worker holds it any more');
  await expectOver(app, runId, [worker]);
  console.log(`Gone after ${ms} ms, in a process of its own.`);
});

test('a worker that loses the lease of a run kills the model calls that it made for it', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const runId = await startResearch(app);
  const clis = await clisOf([worker], 3);
  // As a sweep would take it away, but so that nobody fetches it: only its next refresh tells the worker.
  await app.query(`UPDATE workflow_queue.job SET state = 'retry', start_after = now() + interval '1 hour'`);

  await until('they are gone', () => areGone(clis), 6_000);

  await until('the steps are executed anew', async () => (await runningClis(worker.pid)).length > 0);
  await cancel(app, runId);
  await expectOver(app, runId, [worker]);
});

test('two who cancel the same run at the same moment both succeed', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const runId = await startResearch(app);
  const clis = await clisOf([worker], 3);
  const [first, second] = await Promise.all([cancel(app, runId), cancel(app, runId), msUntilKilled(app, runId, clis)]);

  expect([first.exitCode, second.exitCode]).toEqual([0, 0]);
  const cancellations = await app.query(`SELECT FROM workflow_events WHERE run_id = $1 AND type = 'run_cancelled'`, [
    runId,
  ]);
  expect(cancellations.length).toBeGreaterThan(0);
  await until('no job of it is left', async () => (await openJobs(app, runId)).length === 0, 15_000);
});

test('when a run completes at the moment at which it is cancelled, one of both wins, and the command says which', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const outcomes: string[] = [];
  const cancelRunOf = async (durationMs: number) => {
    const before = (await app.executions()).length;
    const [runId = ''] = await app.start('waitingWorkflow', [durationMs]);
    await until('its step is being executed', async () => (await app.executions()).length > before);
    const cancelling = cancel(app, runId);
    const { status } = await app.ended(runId);
    outcomes.push(status);
    const { exitCode, stdout, stderr } = await cancelling;
    const isCancelled = status === 'cancelled';
    expect(exitCode).toBe(isCancelled ? 0 : 1);
    expect(stdout + stderr).toContain(isCancelled ? 'Cancelled waitingWorkflow' : `${runId} is completed`);
    await until('no job of it is left', async () => (await openJobs(app, runId)).length === 0, 15_000);
    return status;
  };
  // Towards the time that it takes to cancel, which varies.
  let durationMs = 1_500;
  for (let round = 0; round < 8; round += 1) {
    durationMs *= (await cancelRunOf(durationMs)) === 'cancelled' ? 0.8 : 1.25;
  }

  console.log(`The runs were ${outcomes.join(', ')}.`);
  expect(worker.stderr).toBe('');
});
