import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createTestDatabase } from './support/database.ts';
import { PROJECT, run, startProgram } from './support/program.ts';

interface BadInput {
  args?: string[];
  env?: Record<string, string>;
  stdin?: string | Uint8Array;
  exitCode: 1 | 2;
  says: (string | RegExp)[];
}

const USAGE_HELP = 'npm run example:postgres-world -- --help';
const DOWN = 'postgres://someone:my-secret@127.0.0.1:1/db';

const CASES: Record<string, BadInput> = {
  'an unknown mode': { args: ['analyse'], exitCode: 2, says: ['There is no mode "analyse"', 'content', USAGE_HELP] },
  'an unknown option': { args: ['--frobnicate'], exitCode: 2, says: ["Unknown option '--frobnicate'", USAGE_HELP] },
  'an option of another mode': {
    args: ['research', '--input', 'x'],
    exitCode: 2,
    says: ['--input is for the modes content and both, not for research'],
  },
  'a word too many': { args: ['status', 'one', 'two'], exitCode: 2, says: ['"two" is one word too many'] },
  'a limit that is no number': {
    args: ['status', '--limit', 'all'],
    exitCode: 2,
    says: ['--limit all is not a number'],
  },
  'a prune without an age': { args: ['prune'], exitCode: 2, says: ['prune -- --older-than 30d'] },
  'an age without a unit': {
    args: ['prune', '--older-than', '30'],
    exitCode: 2,
    says: ['--older-than 30 is no duration'],
  },
  'an empty text': { args: ['--input', '-'], stdin: ' \n', exitCode: 1, says: ['standard input is empty'] },
  'a missing file': { args: ['--input', 'nowhere.txt'], exitCode: 1, says: ['Cannot read nowhere.txt', 'text file'] },
  'a folder': { args: ['--input', '.'], exitCode: 1, says: ['Cannot read .: EISDIR', 'text file'] },
  'a text that is not UTF-8': {
    args: ['--input', '-'],
    stdin: Uint8Array.of(0x47, 0xfc, 0x74),
    exitCode: 1,
    says: ['standard input is not UTF-8', 'iconv'],
  },
  'a text of 1 MB': {
    args: ['--input', '-'],
    stdin: 'word '.repeat(200_000),
    exitCode: 1,
    says: ['1,000,000 characters', 'at most 500,000', 'Split it'],
  },
  'a text with NUL bytes': { args: ['--input', '-'], stdin: 'a\0b', exitCode: 1, says: ['NUL', "tr -d '\\000'"] },
  'an empty topic': { args: ['research', '--topic', ' '], exitCode: 2, says: ['--topic is empty'] },
  'an empty key': { args: ['--key', ''], exitCode: 2, says: ['--key is empty', USAGE_HELP] },
  'a key for a mode that starts nothing': {
    args: ['status', '--key', 'x'],
    exitCode: 2,
    says: ['--key is for the modes content, research and both, not for status'],
  },
  'a malformed URL': {
    env: { WORKFLOW_POSTGRES_URL: 'someone:my-secret@localhost:5432/db' },
    exitCode: 1,
    says: ['WORKFLOW_POSTGRES_URL is not a PostgreSQL URL', 'postgres://USER:PASSWORD@HOST:PORT/DATABASE'],
  },
  'a direct URL without a URL': {
    env: { WORKFLOW_POSTGRES_DIRECT_URL: 'postgres://someone:my-secret@127.0.0.1:1/db' },
    exitCode: 1,
    says: ['WORKFLOW_POSTGRES_DIRECT_URL=postgres://someone:***@127.0.0.1:1/db', 'WORKFLOW_POSTGRES_URL is not set'],
  },
  'a server that is down': {
    args: ['--verbose'],
    env: { WORKFLOW_POSTGRES_URL: DOWN },
    exitCode: 1,
    says: ['Cannot reach PostgreSQL', 'ECONNREFUSED', 'Check WORKFLOW_POSTGRES_URL'],
  },
  'several mistakes at once': {
    env: {
      WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '0',
      WORKFLOW_POSTGRES_MAX_POOL_SIZE: '-1',
      WORKFLOW_POSTGRES_JOB_PREFIX: 'my app',
      WORKFLOW_POSTGRES_QUEUE_SCHEMA: 'workflow',
      WORKFLOW_TARGET_WORLD: 'local',
      WORKFLOW_MODEL: 'gpt',
    },
    exitCode: 1,
    says: [
      'WORKFLOW_POSTGRES_WORKER_CONCURRENCY=0 must be at least 1',
      'WORKFLOW_POSTGRES_MAX_POOL_SIZE=-1 must be at least 1',
      'WORKFLOW_POSTGRES_JOB_PREFIX=my app may contain',
      'WORKFLOW_POSTGRES_QUEUE_SCHEMA=workflow must not be',
      'WORKFLOW_TARGET_WORLD=local is not the World of this project',
      'WORKFLOW_MODEL=gpt is not one of auto, claude, simulated',
    ],
  },
  'a concurrency that is no number': {
    env: { WORKFLOW_POSTGRES_WORKER_CONCURRENCY: 'abc' },
    exitCode: 1,
    says: ['WORKFLOW_POSTGRES_WORKER_CONCURRENCY=abc is not a number'],
  },
};

test.each(Object.entries(CASES))('%s is answered with what to do', async (_, { args, env, stdin, exitCode, says }) => {
  const options = { env: { ...env }, ...(stdin !== undefined && { input: stdin }) };
  const program = await run(startProgram(join(PROJECT, 'index.ts'), args, options));

  expect(program.exitCode).toBe(exitCode);
  expect(program.stdout).toBe('');
  for (const text of says) expect(program.stderr).toMatch(text);
  expect(program.stderr).not.toContain('    at ');
  expect(program.stderr).not.toContain('my-secret');
});

test('what is wrong with the database is said without the password, and no run is begun', async () => {
  const [database, empty] = await Promise.all([createTestDatabase(), createTestDatabase({ setUp: false })]);
  const elsewhere = (part: Partial<Pick<URL, 'password' | 'pathname' | 'username'>>) =>
    Object.assign(new URL(database.url), part).href;
  for (const [url, message] of [
    [elsewhere({ password: 'my-wrong-secret' }), 'The user or the password in WORKFLOW_POSTGRES_URL is wrong'],
    [elsewhere({ password: '' }), 'The server wants a password, and WORKFLOW_POSTGRES_URL has none'],
    [elsewhere({ pathname: '/no_such_database' }), 'The database does not exist'],
    [empty.url, 'npm run postgres-world:setup'],
  ] as const) {
    for (const args of [['--verbose'], ['status']]) {
      const program = startProgram(join(PROJECT, 'index.ts'), args, { env: { WORKFLOW_POSTGRES_URL: url } });
      const { exitCode, stdout, stderr } = await run(program);
      expect(exitCode).toBe(1);
      expect(stdout).toBe('');
      expect(stderr).toContain(message);
      expect(stderr).not.toContain('    at ');
      expect(stderr).not.toContain(new URL(url).password || 'postgres://');
    }
  }
  expect(await database.query('SELECT FROM workflow.workflow_runs')).toEqual([]);
  expect(await empty.query(`SELECT FROM pg_namespace WHERE nspname LIKE 'workflow%'`)).toEqual([]);
});
