import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createServerDirectory } from '../support/directory.ts';
import { debianPostgres } from '../support/postgres-binaries.ts';
import { run, startCommand } from '../support/program.ts';
import { startServer } from '../support/server.ts';

const PATIENCE_MS = 20 * 60_000;

interface Results {
  numPassedTests: number;
  testResults: { assertionResults: { fullName: string; status: string }[] }[];
}

/**
 * About the CLI and the command line, on statements of which others there have the like: CI has an hour.
 * (What the ledger and its views ask of the database, `model-calls` has.)
 */
const NOT_OF_THE_DATABASE = [
  'approval',
  'attach',
  'cancel',
  'host-settings',
  'model-errors',
  'model-parts',
  'readers',
  'secrets',
  'untrusted-text',
];

test(
  "every test of npm test that the database can decide passes on Debian's PostgreSQL too",
  { timeout: PATIENCE_MS },
  async () => {
    const url = await startServer(await debianPostgres());
    const file = join(await createServerDirectory(), 'results.json');
    const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    args.push(...NOT_OF_THE_DATABASE.map((name) => `--exclude=tests/${name}.test.ts`));
    const { exitCode } = await run(startCommand('vitest', args, { env: { TEST_POSTGRES_URL: url } }));

    const { numPassedTests, testResults } = JSON.parse(await readFile(file, 'utf8')) as Results;
    const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
    expect(tests.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName)).toEqual([]);
    expect(exitCode).toBe(0);
    expect(numPassedTests).toBeGreaterThan(50);
  },
);
