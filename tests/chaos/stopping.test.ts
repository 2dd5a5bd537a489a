import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { areGone, descendantsOf, runningClis } from '../support/processes.ts';
import { PROJECT, startProgram } from '../support/program.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

const INDEX = join(PROJECT, 'index.ts');

test('SIGTERM during model calls frees the run at once: another worker calls the model in seconds (vercel/workflow #3064)', async () => {
  const database = await createTestDatabase();
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const worker = startProgram(INDEX, ['worker'], { env });
  await worker.says('Worker: takes the runs');
  const starter = startProgram(INDEX, ['research'], { env });
  // Either may be the driver.
  const victim = await until('one of them runs three CLIs', async () => {
    for (const program of [worker, starter]) if ((await runningClis(program.pid)).length === 3) return program;
    return undefined;
  });
  const [done] = await database.query<{ steps: string[] }>(
    `SELECT array_agg(step_id) AS steps FROM workflow_steps WHERE status = 'completed'`,
  );
  const children = await descendantsOf(victim.pid);
  const [{ now } = { now: '' }] = await database.query<{ now: string }>('SELECT clock_timestamp()::text AS now');
  victim.kill('SIGTERM');

  const [started] = await until('the next step is started', async () => {
    const events = await database.query<{ ms: number }>(
      `SELECT 1000 * extract(epoch FROM started_at - $1::timestamptz)::float AS ms
       FROM workflow_engine.model_calls WHERE started_at > $1::timestamptz ORDER BY started_at`,
      [now],
    );
    return events.length > 0 && events;
  });
  expect(await victim.exited).toBe(143);

  console.log(`SIGTERM to the next model call elsewhere: ${Math.round(started!.ms)} ms`);
  expect(started!.ms).toBeLessThan(5_000);
  await until('its children are gone', () => areGone(children), 1_000);
  expect(victim.stderr).not.toMatch(/^\s+at /m);
  await until('the run has ended', async () => {
    const [finished] = await database.query<{ status: string }>('SELECT status FROM workflow_runs');
    return finished?.status === 'completed';
  });
  const repeated = await database.query(
    `SELECT FROM workflow_engine.model_calls WHERE step_id = ANY ($1) GROUP BY step_id HAVING count(*) > 1`,
    [done?.steps ?? []],
  );
  expect(repeated).toEqual([]);
});

test('a worker that is killed takes its model calls with it within a second', async () => {
  const database = await createTestDatabase();
  const victim = startProgram(INDEX, ['research'], { env: { WORKFLOW_POSTGRES_URL: database.url } });
  await until('three CLIs are running', async () => (await runningClis(victim.pid)).length === 3);
  const children = await descendantsOf(victim.pid);
  const killedAt = Date.now();
  victim.kill('SIGKILL');

  await until('they are all gone', () => areGone(children), 1_000);

  console.log(`SIGKILL to the end of the CLIs: at most ${Date.now() - killedAt} ms`);
});

test('without its database a worker stops within 5 s, and at once at the second signal', async () => {
  const database = await createTestDatabase();
  const proxy = await startProxy(database.url);
  const env = { WORKFLOW_POSTGRES_URL: proxy.url };
  const [patient, impatient] = [startProgram(INDEX, ['research'], { env }), startProgram(INDEX, ['worker'], { env })];
  await impatient.says('Worker: takes the runs');
  await until('three CLIs are running', async () => {
    return (await Promise.all([patient, impatient].map(({ pid }) => runningClis(pid)))).flat().length === 3;
  });
  const children = (await Promise.all([patient, impatient].map(({ pid }) => descendantsOf(pid)))).flat();
  proxy.cut('silently');
  const stoppedAt = Date.now();
  for (const { kill } of [patient, impatient]) kill('SIGTERM');
  await impatient.says('Stopping');
  // Sooner, it could be the first one, which npm and tsx pass on as well.
  await until('a second has passed', () => Date.now() - stoppedAt > 1_200);
  const againAt = Date.now();
  impatient.kill('SIGTERM');

  expect(await impatient.exited).toBe(143);
  console.log(`Second signal: ended after ${Date.now() - againAt} ms`);
  expect(Date.now() - againAt).toBeLessThan(1_000);
  expect(await patient.exited).toBe(143);
  console.log(`One signal, without a database: ended after ${Date.now() - stoppedAt} ms`);
  expect(Date.now() - stoppedAt).toBeLessThan(6_000);

  expect(impatient.stderr).toContain('Stopped at once');
  expect(patient.stderr).not.toMatch(/^\s+at /m);
  await until('no child is left', () => areGone(children), 1_000);
});
