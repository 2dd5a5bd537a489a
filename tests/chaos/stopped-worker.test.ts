import { expect, test } from 'vitest';
import { createApplication } from '../support/application.ts';
import { until } from '../support/until.ts';

const STOPPED_MS = 30_000;
/** Longer than the stop: its first execution is still going on when the worker continues. */
const LONG_STEP_MS = 45_000;

test('a worker that was stopped for 30 s aborts what it lost, and repeats nothing that another one finished', async () => {
  const app = await createApplication();
  const stopped = await app.startWorker();
  const [runId = ''] = await app.start('shortAndLongWorkflow', [2_000, LONG_STEP_MS]);
  await until('both steps are being executed', async () => (await app.executions()).length === 2);
  stopped.kill('SIGSTOP');
  const stoppedAt = Date.now();
  // Should the test fail, it must be able to end.
  try {
    const other = await app.startWorker();
    await until('the other worker executes both', async () => (await app.executions()).length === 4);
    const shortIsDone = async () =>
      (await app.query(`SELECT FROM workflow_steps WHERE status = 'completed'`)).length > 0;
    await until('it has finished the short one', shortIsDone);
    await until('the stop has lasted long enough', () => Date.now() - stoppedAt > STOPPED_MS);
    stopped.kill('SIGCONT');

    expect(await app.ended(runId)).toEqual({ status: 'completed' });
    const executions = await app.executions();
    const begun = executions.filter(({ stepId }) => stepId.startsWith('step_'));
    expect(begun.map(({ pid }) => pid)).toEqual([stopped.pid, stopped.pid, other.pid, other.pid]);
    const aborted = executions.filter(({ stepId }) => stepId.startsWith('aborted'));
    expect(aborted.map(({ pid }) => pid)).toEqual([stopped.pid]);
    const results = await app.query(`SELECT FROM workflow_events WHERE type = 'step_completed'`);
    expect(results).toHaveLength(2);
    const openJobs = async () => app.query(`SELECT FROM workflow_queue.job WHERE state < 'completed'`);
    await until('no job is left over', async () => (await openJobs()).length === 0);
  } finally {
    stopped.kill('SIGCONT');
  }
});
