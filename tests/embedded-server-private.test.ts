import { once } from 'node:events';
import { chmod, lstat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Client } from '../src/postgres/client.ts';
import { readPidFile } from '../src/postgres/embedded/pid-file.ts';
import { joinEmbeddedServer } from '../src/postgres/embedded/server.ts';
import { answers, createProject, killServers } from './support/embedded-server.ts';

test('nobody else reaches the embedded server: its folder, socket and files are for its user alone', async () => {
  const { project, directory } = await createProject();
  await using server = await joinEmbeddedServer(project);
  expect(await answers(server.connectionString)).toBe(true);

  expect((await readPidFile(join(directory, 'data')))?.tcpPort).toBeUndefined();
  const modeOf = async (name: string) => ((await lstat(join(directory, name))).mode & 0o777).toString(8);
  expect(await modeOf('data')).toBe('700');
  expect(await modeOf('data/.s.PGSQL.5432')).toBe('700');
  for (const file of ['lock', 'password', 'server.log']) expect(`${file} ${await modeOf(file)}`).toBe(`${file} 600`);
});

test('files and folders that an earlier version left open to others are closed', async () => {
  const { project, directory } = await createProject();
  for (const file of ['lock', 'server.log']) await writeFile(join(directory, file), '', { mode: 0o644 });
  await chmod(directory, 0o755);
  await using _server = await joinEmbeddedServer(project);
  for (const file of ['lock', 'server.log']) expect((await lstat(join(directory, file))).mode & 0o077).toBe(0);
  expect((await lstat(directory)).mode & 0o007).toBe(0);
});

test.runIf(process.platform === 'linux')('a path that is longer than that of a socket may be works', async () => {
  const { project } = await createProject(`${'wörld & '.repeat(12)}end`);
  await using server = await joinEmbeddedServer(project);
  expect(await answers(server.connectionString)).toBe(true);
  await using second = await joinEmbeddedServer(project);
  expect(await answers(second.connectionString)).toBe(true);
});

const AUTHENTICATION = { 'the password in clear': [3], 'its MD5 hash': [5, 0x01020304], nothing: [0] };

test.each(Object.entries(AUTHENTICATION))(
  'who answers on its port and asks for %s gets no password',
  async (_, words) => {
    const { project, directory } = await createProject();
    const lost = await joinEmbeddedServer(project, { onPort: true });
    const url = new URL(lost.connectionString);
    await killServers(directory);
    const heard: Buffer[] = [];
    const listener = createServer((socket) => {
      socket.on('error', () => undefined).on('data', (data) => heard.push(data));
      const message = Buffer.alloc(5 + 4 * words.length);
      message.write('R');
      [4 + 4 * words.length, ...words].forEach((word, index) => message.writeUInt32BE(word, 1 + 4 * index));
      const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
      socket.write(words[0] === 0 ? Buffer.concat([message, ready]) : message);
    }).listen(Number(url.port), '127.0.0.1');
    onTestFinished(() => void listener.close());
    await once(listener, 'listening');

    await expect(new Client({ connectionString: lost.connectionString }).connect()).rejects.toThrow('SCRAM');
    await using server = await joinEmbeddedServer(project, { onPort: true });
    expect(new URL(server.connectionString).port).not.toBe(url.port);
    expect(Buffer.concat(heard).toString('latin1')).not.toMatch(new RegExp(`${url.password}|md5`));
    expect(heard.length).toBeGreaterThan(1);
    await lost[Symbol.asyncDispose]();
  },
);
