import { expect, test } from 'vitest';
import { setUpDatabase } from '../../src/postgres/setup.ts';
import { createApplication, type Application } from '../support/application.ts';
import { answer, answersOf, approvalOf, INDEX, startAsking, untilParked } from '../support/approvals.ts';
import { query } from '../support/database.ts';
import { heldUp, holdUp } from '../support/hold-up.ts';
import { embeddedPostgres } from '../support/postgres-binaries.ts';
import { startProgram, type Program } from '../support/program.ts';
import { startStoppableServer } from '../support/server.ts';
import { until } from '../support/until.ts';

test('a run that waits for approval outlives its worker and its server; an answer outlives the crash of the server', async () => {
  const server = await startStoppableServer(await embeddedPostgres());
  await setUpDatabase(server.url, 'workflow_queue');
  const app = await createApplication(undefined, {
    url: server.url,
    query: (sql, values) => query(server.url, sql, values),
  });
  const victim = await app.startWorker();
  const runId = await startAsking(app);
  await untilParked(app, runId);
  await kill(victim);
  // Nobody at all is left.
  await server.stop('immediate');
  await server.start();
  await untilParked(app, runId);

  // Restarted once more, while the answer is about to be recorded.
  await holdUp(app, 'workflow.workflow_events');
  const approve = startProgram(INDEX, ['approve', runId], { env: app.env });
  await until('the answer is about to be recorded', () => isHeldUp(app, 'workflow_events'));
  await server.stop('immediate');
  await server.start();
  expect(await approve.exited).toBe(0);
  expect(approve.stderr).not.toContain('    at ');
  await server.stop('fast');
  await server.start();

  await app.startWorker();
  expect(await approvalOf(app, runId)).toEqual({ approved: true });
  await expectOnce(app, runId);
});

test('who answers dies before the run is woken: the sweep wakes it', async () => {
  const app = await createApplication();
  const worker = await app.startWorker();
  const runId = await startAsking(app);
  await untilParked(app, runId);
  await kill(worker);
  const goOn = await holdUp(app, 'workflow_queue.job');
  const reject = startProgram(INDEX, ['reject', runId, '--reason', 'no'], { env: app.env });
  const [waking] = await until('the run is about to be woken', async () => {
    const sessions = await heldUp(app, 'workflow_queue.job');
    return sessions.length > 0 && sessions;
  });
  await kill(reject);
  // The server would execute the statement that it has got already.
  await app.query('SELECT pg_terminate_backend($1, 10000)', [waking!.pid]);
  await goOn();
  expect(await app.query(`SELECT FROM workflow_queue.job WHERE state <= 'active'`)).toEqual([]);
  // It has answered nevertheless, and once.
  expect((await answer(app, 'approve', runId)).stderr).toContain('answered before: rejected (no)');

  await app.startWorker();

  expect(await approvalOf(app, runId)).toEqual({ approved: false, reason: 'no' });
  await expectOnce(app, runId);
});

test('the worker that got the answer is killed before it has recorded the end: another one ends the run', async () => {
  const app = await createApplication();
  const victim = await app.startWorker();
  const runId = await startAsking(app);
  await untilParked(app, runId);
  const goOn = await holdUp(app, 'workflow.workflow_runs');
  expect((await answer(app, 'approve', runId)).stdout).toContain('A worker takes it.');
  await until('the end is about to be recorded', () => isHeldUp(app, 'workflow_runs'));
  await kill(victim);
  await goOn();
  await app.startWorker();

  expect(await approvalOf(app, runId)).toEqual({ approved: true });
  await expectOnce(app, runId);
});

async function kill(program: Program): Promise<void> {
  program.kill('SIGKILL');
  await program.exited;
}

async function isHeldUp(app: Application, table: string): Promise<boolean> {
  return (await heldUp(app, table)).length > 0;
}

/** One answer, one end, and no model was asked again. */
async function expectOnce(app: Application, runId: string): Promise<void> {
  expect(await answersOf(app, runId)).toHaveLength(1);
  const ends = await app.query(`SELECT FROM workflow.workflow_events WHERE run_id = $1 AND type = 'run_completed'`, [
    runId,
  ]);
  expect(ends).toHaveLength(1);
  expect(await app.query('SELECT FROM workflow_engine.model_calls')).toHaveLength(3);
}
