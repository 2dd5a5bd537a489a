import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { setUpDatabase } from '../../src/postgres/setup.ts';
import { query, type TestDatabase } from '../support/database.ts';
import { embeddedPostgres } from '../support/postgres-binaries.ts';
import { PROJECT, startProgram } from '../support/program.ts';
import { startStoppableServer } from '../support/server.ts';
import { createStarter } from '../support/setting.ts';

const PROCESS = join(PROJECT, 'tests/fixtures/process.ts');
const FIXTURES = 'stream-workflows.ts';

export const CHUNKS = 20;
const PAUSE_MS = 25;

/** Of the steps that a worker executes at once. With more, the runs would be over after a few restarts. */
const CONCURRENCY = '4';
/** Without a run that has ended. */
const PATIENCE_MS = 180_000;

export interface Outcome {
  database: TestDatabase;
  runIds: string[];
  restarts: number;
  seconds: number;
}

interface Options {
  runs: number;
  workers: number;
  everySeconds: number;
}

/** Starts them, and restarts the server as by a crash until all have ended. */
export async function runThroughRestarts(
  { runs, workers, everySeconds }: Options,
  note: (line: string) => void,
): Promise<Outcome> {
  const server = await startStoppableServer(await embeddedPostgres(), undefined, {
    settings: { max_connections: 200 },
  });
  await setUpDatabase(server.url, 'workflow_queue');
  const database = { url: server.url, query: <Row extends object>(sql: string) => query<Row>(server.url, sql) };
  const start = await createStarter(database, FIXTURES);
  const env = {
    WORKFLOW_POSTGRES_URL: server.url,
    WORKFLOW_POSTGRES_WORKER_CONCURRENCY: CONCURRENCY,
    TEST_WORKFLOWS: FIXTURES,
  };
  const crew = Array.from({ length: workers }, () => startProgram(PROCESS, ['worker'], { env }));
  await Promise.all(crew.map((worker) => worker.says('"ready":true')));
  const beganAt = performance.now();
  const runIds = await Promise.all(Array.from({ length: runs }, () => start('speakingWorkflow', [CHUNKS, PAUSE_MS])));

  let restarts = 0;
  let left = runs;
  for (let movedAt = performance.now(); left > 0;) {
    await delay(everySeconds * 1_000);
    await server.stop('immediate');
    await server.start();
    restarts += 1;
    const unfinished = await database.query(`SELECT FROM workflow_runs WHERE status IN ('pending', 'running')`);
    if (unfinished.length < left) movedAt = performance.now();
    left = unfinished.length;
    note(`Restart ${restarts}: ${left} of ${runs} runs have not ended yet`);
    if (performance.now() - movedAt > PATIENCE_MS) break;
  }
  return { database, runIds, restarts, seconds: Math.round((performance.now() - beganAt) / 1_000) };
}
