import { expect, test } from 'vitest';
import { join } from 'node:path';
import { createTestDatabase } from '../support/database.ts';
import { PROJECT, run, startCommand, startProgram } from '../support/program.ts';

test("after setup, psql's \\dt workflow_* lists the tables of the specification", async () => {
  const { url } = await createTestDatabase({ setUp: false });
  const setUp = await run(startProgram(join(PROJECT, 'setup-db.ts'), [], { env: { WORKFLOW_POSTGRES_URL: url } }));
  const { exitCode, stdout } = await run(startCommand('psql', [url, '-c', '\\dt workflow_*']));

  expect([setUp.exitCode, exitCode]).toEqual([0, 0]);
  for (const table of ['runs', 'events', 'steps', 'hooks', 'stream_chunks'])
    expect(stdout).toContain(`workflow_${table} `);
});

test('what setup --print prints can be piped into psql', async () => {
  const { url } = await createTestDatabase({ setUp: false });
  const env = { WORKFLOW_POSTGRES_URL: url };
  const command = `npx tsx setup-db.ts --print | psql "$WORKFLOW_POSTGRES_URL" -q -v ON_ERROR_STOP=1`;
  const piped = await run(startCommand('bash', ['-o', 'pipefail', '-c', command], { env }));
  const checked = await run(startProgram(join(PROJECT, 'setup-db.ts'), ['--check'], { env }));

  expect({ exitCode: piped.exitCode, stderr: piped.stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(checked.exitCode).toBe(0);
});
