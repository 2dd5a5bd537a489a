import { join } from 'node:path';
import { expect, test } from 'vitest';
import { npmPostgres } from '../support/postgres-binaries.ts';
import { PROJECT, run, startProgram } from '../support/program.ts';
import { startServer } from '../support/server.ts';

test('PostgreSQL 12 is refused, with the versions that would do', async () => {
  const url = await startServer(await npmPostgres('12.22.0-beta.15'));
  for (const [file, ...args] of [['index.ts'], ['index.ts', 'status'], ['setup-db.ts'], ['setup-db.ts', '--check']]) {
    const program = startProgram(join(PROJECT, file ?? ''), args, { env: { WORKFLOW_POSTGRES_URL: url } });
    const { exitCode, stderr } = await run(program);

    expect(exitCode).toBe(1);
    expect(stderr).toContain('This server is PostgreSQL 12.22, and PostgreSQL 13 or newer is needed.');
    expect(stderr).toContain('WORKFLOW_POSTGRES_URL');
    expect(stderr).not.toMatch(/^\s+at /m);
  }
});
