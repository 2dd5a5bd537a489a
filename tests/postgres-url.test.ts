import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../src/config/config.ts';

const URL_START = 'postgres://me:secret@db.example/app';
const connectionStringOf = (url: string) => readConfig({ WORKFLOW_POSTGRES_URL: url }).connectionString;

test.each([
  ['', ''],
  ['?application_name=x', '?application_name=x'],
  ['?sslmode=disable', '?sslmode=disable&uselibpqcompat=true'],
  ['?sslmode=require', '?sslmode=require&uselibpqcompat=true'],
  ['?sslmode=verify-full', '?sslmode=verify-full&uselibpqcompat=true'],
  ['?sslmode=allow', '?sslmode=prefer&uselibpqcompat=true'],
  ['?sslmode=no-verify', '?sslmode=no-verify'],
  ['?uselibpqcompat=false&sslmode=require', '?uselibpqcompat=false&sslmode=require'],
  ['?host=/tmp&sslmode=require', '?host=%2Ftmp&sslmode=disable&uselibpqcompat=true'],
])('%j becomes %j: sslmode means what it means to psql', (given, expected) => {
  expect(connectionStringOf(URL_START + given)).toBe(URL_START + expected);
});

test.each([
  ['?sslmode=verify-ca', 'add &sslrootcert=FILE'],
  ['?sslmode=sometimes', 'has an unknown sslmode: it is one of disable, allow'],
  ['?sslmode=verify-full&sslrootcert=/nowhere/ca.crt', 'cannot be read: sslrootcert=/nowhere/ca.crt (ENOENT)'],
  ['?sslcert=/nowhere/me.crt', 'cannot be read: sslcert=/nowhere/me.crt (ENOENT)'],
  ['?host=127.0.0.1&sslmode=verify-full', 'has an IP address where'],
])('%j is a problem of its variable, reported with all the others', (given, problem) => {
  const read = () =>
    readConfig({
      WORKFLOW_POSTGRES_URL: URL_START + given,
      WORKFLOW_POSTGRES_DIRECT_URL: 'localhost',
      WORKFLOW_POSTGRES_MAX_POOL_SIZE: '0',
    });
  for (const text of ['WORKFLOW_POSTGRES_URL=postgres://me:***@db.example', problem, 'DIRECT_URL', 'at least 1']) {
    expect(read).toThrow(text);
  }
});

test('a file that holds no certificate is a problem of its variable', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postgres-world-certificate-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, 'ca.crt');
  await writeFile(file, 'not a certificate');

  const read = () => connectionStringOf(`${URL_START}?sslmode=verify-full&sslrootcert=${file}`);

  expect(read).toThrow('names a certificate or key that cannot be used');
});
