import { join } from 'node:path';
import { expect, test } from 'vitest';
import { setUpDatabase } from '../../src/postgres/setup.ts';
import { embeddedPostgres } from '../support/postgres-binaries.ts';
import { PROJECT, run, startProgram } from '../support/program.ts';
import { startStoppableServer } from '../support/server.ts';
import { query } from '../support/database.ts';
import { until } from '../support/until.ts';

const INDEX = join(PROJECT, 'index.ts');
const WAITING = /^PostgreSQL is not ready: .*\. Waiting for it, (60|15) s at most\.$/gm;

test('workers that begin while the server recovers, restarts or is not there yet wait for it; commands do, too, but not for long', async () => {
  const server = await startStoppableServer(await embeddedPostgres());
  await setUpDatabase(server.url, 'workflow_queue');
  const env = { WORKFLOW_POSTGRES_URL: server.url };
  const worker = () => startProgram(INDEX, ['worker'], { env });
  const command = (...args: string[]) => run(startProgram(INDEX, args, { env }));

  // Nothing listens.
  await server.stop('immediate');
  const early = worker();
  const refused = await command('status');
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toMatch(
    /^Cannot reach PostgreSQL: .*\n {2}Check WORKFLOW_POSTGRES_URL, and that the server runs\.\n$/,
  );
  await early.says(/PostgreSQL is not ready: .*ECONNREFUSED.*Waiting for it, 60 s at most/);

  // It recovers, as a standby that nobody may read: until it is promoted.
  await server.standBy();
  await server.start({ hot_standby: 'off' });
  const [second, third, impatient] = [worker(), worker(), worker()];
  const began = Date.now();
  const [status, setup] = await Promise.all([
    command('status'),
    run(startProgram(join(PROJECT, 'setup-db.ts'), ['--check'], { env })),
  ]);
  expect(Date.now() - began).toBeGreaterThan(15_000);
  for (const { exitCode, stderr } of [status, setup]) {
    expect(exitCode).toBe(1);
    expect(stderr.match(WAITING)).toHaveLength(1);
    expect(stderr).toMatch(
      /\nPostgreSQL is not ready: the database system is .*\n {2}It starts, recovers or stops: see its log, and try again\.\n$/,
    );
  }
  for (const each of [second, third, impatient]) await each.says('Waiting for it, 60 s at most');

  impatient.kill('SIGTERM');
  expect(await impatient.exited).toBe(143);

  // It is promoted; then it crashes, and two more begin while it restarts.
  await server.promote();
  for (const each of [early, second, third]) await each.says('Worker: takes the runs');
  await server.stop('immediate');
  const late = [worker(), worker()];
  await Promise.all(late.map((each) => each.says(/PostgreSQL is not ready|Worker: takes/)));
  await server.start();
  for (const each of [early, second, third, ...late]) {
    await each.says('Worker: takes the runs');
    expect(each.stderr.match(WAITING)?.length ?? 0).toBeLessThanOrEqual(1);
    expect(each.stderr).not.toMatch(/^\s+at /m);
  }
  const workers = () => query(server.url, 'SELECT FROM workflow_engine.workers');
  await until('all of them are listed', async () => (await workers()).length === 5);
});
