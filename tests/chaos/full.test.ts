import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { serverUser } from '../../src/postgres/embedded/location.ts';
import { checkDatabase, setUpDatabase } from '../../src/postgres/setup.ts';
import { createApplication } from '../support/application.ts';
import { query } from '../support/database.ts';
import { embeddedPostgres } from '../support/postgres-binaries.ts';
import { PROJECT, run, startProgram, type Program } from '../support/program.ts';
import { startStoppableServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';

const STEPS = 8;
const RUNS = 3;
const SIZES = { data: '128m', wal: '24m' };

/** Who may mount a disk as small as this test needs it. */
const mayMount = process.platform === 'linux' && canMount();

test.runIf(mayMount)(
  'a server whose disk, log or connections are used up, or that becomes a standby, is named with the remedy; then everything goes on, nothing twice',
  async () => {
    const { server, disks } = await startSmallServer();
    const app = await createApplication(() => ({ WORKFLOW_POSTGRES_URL: withUser(server.url, 'app') }), {
      url: server.url,
      query: (sql, values) => query(server.url, sql, values),
    });
    const more = { TEST_WORKFLOWS: 'long-results.ts' };
    Object.assign(app.env, more);
    const worker = await app.startWorker();
    const runIds: string[] = [];

    /** Begins runs, lets something happen in their middle until the worker says so, and waits until they have ended. */
    const during = async (
      says: RegExp,
      happens: () => Promise<unknown>,
      ends: () => Promise<unknown>,
      well: RegExp,
    ) => {
      const saidBefore = worker.stderr.length;
      const started = await app.start('longResultsWorkflow', [STEPS], RUNS);
      runIds.push(...started);
      const said = (pattern: RegExp) => pattern.test(worker.stderr.slice(saidBefore));
      await until('steps are being executed', () => executed(worker).length > (runIds.length - RUNS) * STEPS + 1);
      await happens();
      await until(`the worker says ${says}`, () => said(says));
      await ends();
      for (const runId of started) expect(await app.ended(runId)).toEqual({ status: 'completed' });
      await until(`the worker says ${well}`, () => said(well));
    };

    let filler = '';
    const fill = async (disk: string) => {
      filler = join(disk, 'filler');
      await fillUp(filler);
    };
    await during(
      /⚠ The disk of the PostgreSQL server is full: .*\. Make room on it; this process waits, and goes on by itself\./,
      () => fill(disks.data),
      () => rm(filler),
      /✓ PostgreSQL has room again, after/,
    );

    await during(
      /⚠ PostgreSQL does not answer: /,
      async () => {
        await fill(disks.wal);
        // More at once than all of its disk, so that no checkpoint comes first and makes room.
        const much = `SELECT pg_logical_emit_message(false, 'test', repeat('x', 500000)) FROM generate_series(1, 60)`;
        await expect(app.query(much)).rejects.toThrow(/terminat|No space left/i);
      },
      async () => {
        await rm(filler);
        await server.stop('immediate');
        await server.start();
      },
      /✓ PostgreSQL answers again, after/,
    );

    const crowd: Client[] = [];
    await during(
      /⚠ The PostgreSQL server has no connection left: .*\. Raise its max_connections, or start fewer processes/,
      async () => {
        await until('others have all connections', async () => {
          await app.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE usename = 'app' AND application_name LIKE 'postgres-world%'`);
          await takeConnections(withUser(server.url, 'app'), crowd);
          return worker.stderr.includes('has no connection left');
        });
        const { exitCode, stderr } = await run(startProgram(join(PROJECT, 'index.ts'), ['status'], { env: app.env }));
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(/The PostgreSQL server has no connection left: .*\n {2}Raise its max_connections/);
      },
      () => Promise.all(crowd.map((client) => client.end())),
      /✓ PostgreSQL has connections again, after/,
    );

    await during(
      /⚠ The PostgreSQL server is read-only, as a standby is: .*\. Promote it, or let/,
      async () => {
        await server.stop('fast');
        await server.standBy();
        await server.start();
        const { exitCode, stderr } = await run(startProgram(join(PROJECT, 'index.ts'), ['status'], { env: app.env }));
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(
          /^This server is a standby, which is read only\.\n {2}Point WORKFLOW_POSTGRES_URL at the primary/m,
        );
      },
      () => server.promote(),
      /✓ PostgreSQL can be written to again, after/,
    );

    const steps = executed(worker);
    expect(steps).toHaveLength(RUNS * STEPS * 4);
    expect(new Set(steps).size).toBe(steps.length);
    const charged =
      await app.query(`SELECT FROM workflow.workflow_steps s LEFT JOIN workflow_engine.step_progress p USING (step_id)
      WHERE s.attempt - coalesce(p.interruptions, 0) > 1`);
    expect(charged).toEqual([]);
    expect(worker.stderr).not.toMatch(/^\s+at /m);
    expect(worker.stderr.split('\n').length).toBeLessThan(60);
  },
);

function executed({ stdout }: Program): string[] {
  return [...stdout.matchAll(/"executed":"(\w+)"/g)].map(([, stepId]) => stepId!);
}

/** Its data and its log are on disks of their own; `app` is a role with no more rights than a worker needs. */
async function startSmallServer(): Promise<{ server: TestServer; disks: { data: string; wal: string } }> {
  const disks = { data: '', wal: '' };
  const server = await startStoppableServer(await embeddedPostgres(), undefined, {
    settings: { max_connections: 30, max_wal_size: '4MB', min_wal_size: '2MB' },
    async prepare(directory) {
      for (const name of ['data', 'wal'] as const) {
        disks[name] = join(directory, name);
        await mountDisk(disks[name], SIZES[name]);
      }
      return [`--waldir=${join(disks.wal, 'segments')}`, '--wal-segsize=1'];
    },
  });
  await setUpDatabase(server.url, 'workflow_queue');
  await query(server.url, `CREATE ROLE app LOGIN PASSWORD 'secret'`);
  const { missingRights } = await checkDatabase(withUser(server.url, 'app'), 'workflow_queue');
  for (const statement of missingRights) await query(server.url, statement);
  return { server, disks };
}

function withUser(url: string, username: string): string {
  return Object.assign(new URL(url), { username, password: 'secret' }).href;
}

async function mountDisk(directory: string, size: string): Promise<void> {
  mkdirSync(directory);
  const { uid = 0, gid = 0 } = serverUser() ?? {};
  const options = `size=${size},mode=0700,uid=${uid},gid=${gid}`;
  await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
  onTestFinished(async () => void (await promisify(execFile)('umount', ['-l', directory])));
}

function canMount(): boolean {
  const directory = join(tmpdir(), `postgres-world-disk-${process.pid}`);
  mkdirSync(directory);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory], { stdio: 'ignore' });
    execFileSync('umount', [directory]);
    return true;
  } catch {
    return false;
  } finally {
    execFileSync('rmdir', [directory]);
  }
}

/** Until not a byte more goes onto its disk. */
async function fillUp(path: string): Promise<void> {
  const file = await open(path, 'w');
  for (const size of [1_000_000, 4_096, 1]) {
    const isFull = () =>
      file.write(Buffer.alloc(size, 1)).then(
        ({ bytesWritten }) => bytesWritten < size,
        () => true,
      );
    while (!(await isFull()));
  }
  await file.close();
}

/** As many as there are. */
async function takeConnections(url: string, taken: Client[]): Promise<void> {
  for (;;) {
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined);
    try {
      await client.connect();
    } catch {
      return;
    }
    taken.push(client);
  }
}
