import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { locateServer, serverUser } from '../src/postgres/embedded/location.ts';
import { readPidFile } from '../src/postgres/embedded/pid-file.ts';
import { joinEmbeddedServer } from '../src/postgres/embedded/server.ts';
import { withClient } from '../src/postgres/with-client.ts';
import { postmasters } from './support/checkout.ts';
import { answers, createProject, killServers } from './support/embedded-server.ts';
import { startCommand } from './support/program.ts';
import { until } from './support/until.ts';

const BRIEF = { patienceMs: 1_000, absencePatienceMs: 1_000 };
const asRoot = process.getuid?.() === 0;
const onLinux = process.platform === 'linux';

/** A process of the user that the server runs as: PostgreSQL cannot tell it from a server by its number. */
function startStranger(): number {
  const stranger = spawn('sleep', ['120'], { ...serverUser(), cwd: '/', stdio: 'ignore' });
  onTestFinished(() => void stranger.kill('SIGKILL'));
  return stranger.pid!;
}

async function takeNumber(pidFile: string, pid: number): Promise<string> {
  const text = (await readFile(pidFile, 'utf8')).replace(/^\d+/, String(pid));
  await writeFile(pidFile, text);
  return text;
}

test('a server that is paused is left as it is, and the error says how it goes on', async () => {
  const { project, directory, pidFile } = await createProject();
  await using server = await joinEmbeddedServer(project);
  const [{ pid } = { pid: 0 }] = await postmasters(directory);
  const before = await readFile(pidFile, 'utf8');
  process.kill(pid, 'SIGSTOP');
  try {
    await expect(joinEmbeddedServer(project, BRIEF)).rejects.toThrow(new RegExp(`kill -CONT ${pid}`));
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  expect(await readFile(pidFile, 'utf8')).toBe(before);
  expect(await answers(server.connectionString)).toBe(true);
});

test('a server in recovery is waited for, and one that is just ending is succeeded', async () => {
  const { project, directory } = await createProject();
  await using server = await joinEmbeddedServer(project);
  const [recovering] = await postmasters(directory);
  await withClient(server.connectionString, 'test', async (client) => {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    process.kill(rows[0]!.pid, 'SIGKILL');
    await client.query('SELECT 1').catch(() => undefined);
  }).catch(() => undefined);
  await using joined = await joinEmbeddedServer(project);
  expect(await postmasters(directory)).toEqual([recovering]);

  process.kill(recovering!.pid, 'SIGINT');
  await using successor = await joinEmbeddedServer(project);
  expect(await answers(successor.connectionString)).toBe(true);
  expect(joined.connectionString).toBe(successor.connectionString);
  expect(await postmasters(directory)).toHaveLength(1);
});

test('a server whose socket was removed stays the only one on its data', async () => {
  const { project, directory, pidFile } = await createProject();
  const _server = await joinEmbeddedServer(project);
  const [{ pid } = { pid: 0 }] = await postmasters(directory);
  const before = await readFile(pidFile, 'utf8');
  await rm(join(directory, 'data/.s.PGSQL.5432'));
  await expect(joinEmbeddedServer(project, BRIEF)).rejects.toThrow(
    new RegExp(`nothing was touched[^]*kill -INT ${pid}`),
  );
  expect(await readFile(pidFile, 'utf8')).toBe(before);
  expect(await postmasters(directory)).toHaveLength(1);
  await killServers(directory);
});

test.runIf(onLinux)('a left-over pid file whose number was taken by another process harms neither', async () => {
  const { project, directory, pidFile } = await createProject();
  const lost = await joinEmbeddedServer(project);
  await killServers(directory);
  const stranger = startStranger();
  await takeNumber(pidFile, stranger);

  await using server = await joinEmbeddedServer(project);
  expect(await answers(server.connectionString)).toBe(true);
  expect(process.kill(stranger, 0)).toBe(true);
  await lost[Symbol.asyncDispose]();
});

test('where it cannot be known whether a server is alive, its pid file stays and the error says what to do', async () => {
  const { project, directory, pidFile } = await createProject();
  const lost = await joinEmbeddedServer(project, { onPort: true });
  await killServers(directory);
  const stranger = startStranger();
  const left = await takeNumber(pidFile, stranger);

  await expect(joinEmbeddedServer(project, BRIEF)).rejects.toThrow(
    new RegExp(`process ${stranger}[^]*remove ${pidFile}`),
  );
  expect(await readFile(pidFile, 'utf8')).toBe(left);
  expect(process.kill(stranger, 0)).toBe(true);
  await rm(pidFile);
  await using server = await joinEmbeddedServer(project);
  expect(await answers(server.connectionString)).toBe(true);
  await lost[Symbol.asyncDispose]();
});

test.runIf(onLinux && asRoot)(
  'a server in another container, with a number that is another process here, is joined',
  async () => {
    const { project, directory } = await createProject();
    const container = startCommand('unshare', [
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      process.execPath,
      '--import',
      'tsx',
      'tests/fixtures/join-server.ts',
      project,
    ]);
    await container.says('joined as process 1');
    const inside = await readPidFile(join(directory, 'data'));
    const [server] = await postmasters(directory);
    expect(inside?.pid).not.toBe(server!.pid);

    const joined = await joinEmbeddedServer(project);
    expect(await answers(joined.connectionString)).toBe(true);
    container.kill('SIGKILL');
    await container.exited;
    // The namespace's first process was killed, and with it everything in it.
    await until('the server is dead', async () => (await postmasters(directory)).length === 0);
    await joined[Symbol.asyncDispose]();
  },
);

test('a server of an earlier version, on a port, is joined', async () => {
  const { project, directory } = await createProject();
  await using earlier = await joinEmbeddedServer(project, { onPort: true });
  await using server = await joinEmbeddedServer(project);
  expect(new URL(server.connectionString).port).toBe(new URL(earlier.connectionString).port);
  expect(await postmasters(directory)).toHaveLength(1);
});

test.runIf(asRoot)('a server is found again when its project was opened to others', async () => {
  const project = await mkdtemp(join(tmpdir(), 'postgres-world-project-'));
  const { directory } = await locateServer(project);
  onTestFinished(async () => {
    await killServers(directory);
    for (const folder of [project, directory]) await rm(folder, { recursive: true, force: true });
  });
  {
    await using server = await joinEmbeddedServer(project);
    await withClient(server.connectionString, 'test', (client) => client.query('CREATE TABLE public.kept ()'));
  }
  await chmod(project, 0o755);
  await using server = await joinEmbeddedServer(project);
  expect(server.directory).toBe(directory);
  await withClient(server.connectionString, 'test', (client) => client.query('SELECT FROM public.kept'));

  // And the other way round: data inside, whose server cannot get there any more.
  const inside = await createProject('inside');
  await (await joinEmbeddedServer(inside.project))[Symbol.asyncDispose]();
  await chmod(inside.project, 0o700);
  await expect(joinEmbeddedServer(inside.project)).rejects.toThrow('chmod o+x');
});
