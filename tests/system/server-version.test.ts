import { join } from 'node:path';
import { expect, test } from 'vitest';
import { npmPostgres } from '../support/postgres-binaries.ts';
import { PROJECT, run, startProgram } from '../support/program.ts';
import { startServer } from '../support/server.ts';

test('PostgreSQL 12 is refused, with the versions that would do', async () => {
  const url = await startServer(await npmPostgres('12.22.0-beta.15'));
  const program = startProgram(join(PROJECT, 'index.ts'), ['content'], { env: { WORKFLOW_POSTGRES_URL: url } });
  const { exitCode, stdout, stderr } = await run(program);

  expect(exitCode).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toContain('This server is PostgreSQL 12.22, and PostgreSQL 13 or newer is needed.');
  expect(stderr).toContain('WORKFLOW_POSTGRES_URL');
  expect(stderr).not.toMatch(/^\s+at /m);
});
