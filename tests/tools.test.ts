import { get } from 'node:http';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { createApplication } from './support/application.ts';
import { createCheckout, postmasters } from './support/checkout.ts';
import { createTestDatabase } from './support/database.ts';
import { startPage } from './support/page.ts';
import { freePort } from '../src/postgres/embedded/free-port.ts';
import { areGone, descendantsOf } from './support/processes.ts';
import { run, startCommand } from './support/program.ts';
import { until } from './support/until.ts';

const inspect = (env: Record<string, string>, ...args: string[]) =>
  run(startCommand('npm', ['run', '-s', 'postgres-world:inspect', '--', ...args], { env }));

test('`npm run postgres-world:inspect` shows our runs, with --json as JSON alone', async () => {
  const app = await createApplication();
  await app.startWorker();
  const [runId = ''] = await app.start('sequenceWorkflow', [1]);
  await app.ended(runId);
  const [json, table, steps] = await Promise.all([
    inspect(app.env, 'runs', '--json'),
    inspect(app.env),
    inspect(app.env, 'steps', '--runId', runId, '--json'),
  ]);

  expect(JSON.parse(json.stdout)).toMatchObject({ data: [{ runId, status: 'completed' }] });
  expect(table.stdout).toContain('sequenceWork');
  expect(JSON.parse(steps.stdout)).toMatchObject([{ runId, status: 'completed' }]);
  for (const { exitCode, stdout, stderr } of [json, table, steps]) {
    expect(exitCode).toBe(0);
    expect(stdout + stderr).not.toContain(new URL(app.url).password);
  }
});

test("the tool's exit code is ours, and its help needs no database", async () => {
  const database = await createTestDatabase();
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const unknown = await inspect(env, 'run', 'wrun_01M8275K37KTYHNNKC064EBA0J');
  const help = await inspect({ WORKFLOW_POSTGRES_URL: 'postgres://nobody@127.0.0.1:1/nowhere' }, '--help');

  expect(unknown.exitCode).toBe(1);
  expect(unknown.stderr).toContain('wrun_01M8275K37KTYHNNKC064EBA0J');
  expect(help.exitCode).toBe(0);
  expect(help.stdout).toContain('npm run postgres-world:dashboard');
  expect(help.stdout).toContain('what to inspect');
});

test('`npm run postgres-world:web` serves its page to this machine only, and Ctrl+C leaves no process behind', async () => {
  const database = await createTestDatabase();
  const page = await startPage('web', { env: { WORKFLOW_POSTGRES_URL: database.url } });
  const processes = await descendantsOf(page.pid);

  expect(await (await fetch(page.url)).text()).toContain('Workflow Observability');
  // A server on every interface would answer here as well.
  await expect(fetch(`http://127.0.0.2:${page.port}`)).rejects.toThrow('fetch failed');
  // What other pages in the user's browser can send.
  expect(await statusOf(page.url, { host: `127.0.0.1:${page.port}`, origin: page.url })).toBe(200);
  expect(await statusOf(page.url, { host: 'evil.example' })).toBe(403);
  expect(await statusOf(page.url, { host: `127.0.0.1:${page.port}`, origin: 'http://evil.example' })).toBe(403);
  page.interrupt();
  await page.exited;
  await until('all of them are gone', () => areGone(processes), 5_000);
  expect(page.stdout).toContain(`http://localhost:${page.port}`);
  expect(page.stdout + page.stderr).not.toMatch(/^ {4}at /m);
  expect(page.stdout + page.stderr).not.toContain(new URL(database.url).password);
  expect(await database.query(`SELECT FROM pg_stat_activity WHERE datname = current_database()`)).toHaveLength(1);
});

test("`npm run postgres-world:dashboard` shows the queue's jobs, to this machine only, and changes none", async () => {
  const app = await createApplication();
  await app.start('sequenceWorkflow', [1]);
  const [job] = await app.query<{ id: string; name: string }>('SELECT id, name FROM workflow_queue.job');
  const page = await startPage('dashboard', { env: app.env });
  const processes = await descendantsOf(page.pid);
  const jobs = await (await fetch(`${page.url}/jobs`)).text();
  const refused = await fetch(`${page.url}/queues/${job!.name}`, { method: 'POST' });

  expect(jobs).toContain(job!.id);
  expect(jobs).toContain(job!.name);
  expect(jobs).not.toContain(new URL(app.url).password);
  expect(refused.status).toBe(403);
  await expect(fetch(`http://127.0.0.2:${page.port}`)).rejects.toThrow('fetch failed');
  page.interrupt();
  await page.exited;
  await until('all of them are gone', () => areGone(processes), 5_000);
  expect(page.stdout + page.stderr).not.toMatch(/^ {4}at /m);
});

test('without a database of its own a tool runs on the embedded server, and leaves it at Ctrl+C', async () => {
  const { checkout, serverDirectory } = await createCheckout(0o700);
  const page = await startPage('dashboard', { cwd: checkout });
  const jobs = await fetch(`${page.url}/jobs`);

  expect(jobs.status).toBe(200);
  expect(await jobs.text()).toContain('No jobs found');
  page.interrupt();
  await page.exited;
  await until('the server has stopped', async () => (await postmasters(serverDirectory)).length === 0, 15_000);
});

test('a tool does not outlive a launcher that was killed', async () => {
  const database = await createTestDatabase();
  const page = await startPage('web', { env: { WORKFLOW_POSTGRES_URL: database.url } });
  const processes = await descendantsOf(page.pid);
  const launcher = processes.findLast(({ command }) => command.includes('src/cli/tool.ts web'));
  process.kill(launcher!.pid, 'SIGKILL');

  await until('all of them are gone', () => areGone(processes), 5_000);
});

test('what is wrong is said in a line or two, without a stack trace', async () => {
  const server = createServer((_, response) => response.end()).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const [empty, database] = await Promise.all([createTestDatabase({ setUp: false }), createTestDatabase()]);
  const start = (url: string, ...args: string[]) =>
    run(startCommand('npm', ['run', '-s', ...args], { env: { WORKFLOW_POSTGRES_URL: url } }));
  const results = await Promise.all([
    start(empty.url, 'postgres-world:inspect'),
    start(`postgres://somebody:secret@127.0.0.1:${await freePort()}/x`, 'postgres-world:dashboard'),
    start(database.url, 'postgres-world:web', '--', '--port', String(port)),
    start(database.url, 'postgres-world:web', '--', '--port', 'http'),
    start(database.url, 'postgres-world:dashboard', '--', 'wrun_1'),
  ]);

  expect(results.map(({ exitCode }) => exitCode)).toEqual([1, 1, 1, 2, 2]);
  const [notSetUp, unreachable, taken, noPort, tooMuch] = results.map(({ stderr }) => stderr);
  expect(notSetUp).toContain('npm run postgres-world:setup');
  expect(unreachable).toContain('Cannot reach PostgreSQL');
  expect(unreachable).not.toContain('secret');
  expect(taken).toContain(`Port ${port} is taken`);
  expect(noPort).toContain('--port http is not a port');
  expect(tooMuch).toContain('not "wrun_1"');
  for (const { stdout, stderr } of results) expect(stdout + stderr).not.toMatch(/^ {4}at /m);
});

function statusOf(url: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    // fetch sets its own Host.
    get(url, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}
