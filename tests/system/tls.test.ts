import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createCertificates, type Certificates } from '../support/certificates.ts';
import { query } from '../support/database.ts';
import { createServerDirectory } from '../support/directory.ts';
import { debianPostgres } from '../support/postgres-binaries.ts';
import { PROJECT, run, startProgram } from '../support/program.ts';
import { startServer } from '../support/server.ts';

const INDEX = join(PROJECT, 'index.ts');
const SETUP = join(PROJECT, 'setup-db.ts');

/** A server with TLS, and its URL by the name in its certificate. */
async function startTlsServer(): Promise<{ url: string; certificates: Certificates }> {
  const certificates = await createCertificates(await createServerDirectory());
  const url = await startServer(await debianPostgres(), certificates);
  return { url: Object.assign(new URL(url), { hostname: 'localhost' }).href, certificates };
}

const environment = (url: string) => ({ env: { WORKFLOW_POSTGRES_URL: url } });

test.each([
  { mode: 'disable', encrypted: false, ca: false },
  { mode: 'allow', encrypted: true, ca: false },
  { mode: 'prefer', encrypted: true, ca: false },
  { mode: 'require', encrypted: true, ca: false },
  { mode: 'verify-ca', encrypted: true, ca: true },
  { mode: 'verify-full', encrypted: true, ca: true },
])('with sslmode=$mode, every connection has TLS: $encrypted', async ({ mode, encrypted, ca }) => {
  const server = await startTlsServer();
  const url = `${server.url}?sslmode=${mode}${ca ? `&sslrootcert=${server.certificates.ca}` : ''}`;
  const setup = await run(startProgram(SETUP, [], environment(url)));
  expect([setup.exitCode, setup.stderr]).toEqual([0, '']);
  const worker = startProgram(INDEX, ['worker'], environment(url));
  await worker.says('Worker: takes the runs');

  const sessions = await query<{ name: string; encrypted: boolean }>(
    server.url,
    `SELECT DISTINCT application_name AS name, ssl AS encrypted FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
     WHERE application_name LIKE 'postgres-world%' ORDER BY 1`,
  );
  expect(sessions).toEqual([
    { name: 'postgres-world', encrypted },
    { name: 'postgres-world session', encrypted },
  ]);
  expect(worker.stderr).not.toContain('WARNING');
});

test.each(['setup-db.ts', 'index.ts'])(
  '%s refuses the certificate of an unknown CA, and says what to do',
  async (program) => {
    const { url } = await startTlsServer();
    const { exitCode, stderr } = await run(
      startProgram(join(PROJECT, program), [], environment(`${url}?sslmode=verify-full`)),
    );

    expect(exitCode).toBe(1);
    expect(stderr).toContain('The certificate of the PostgreSQL server is not trusted');
    expect(stderr).toContain('WORKFLOW_POSTGRES_URL: …&sslrootcert=FILE');
    expect(stderr).not.toMatch(/^\s+at /m);
  },
);

test('a server without TLS is refused with sslmode=require, and taken with sslmode=prefer', async () => {
  const url = await startServer(await debianPostgres());
  const preferred = await run(startProgram(SETUP, [], environment(`${url}?sslmode=prefer`)));
  expect([preferred.exitCode, preferred.stderr]).toEqual([0, '']);

  for (const program of [SETUP, INDEX]) {
    const required = await run(startProgram(program, [], environment(`${url}?sslmode=require`)));
    expect(required.exitCode).toBe(1);
    expect(required.stderr).toContain('has no TLS, and the sslmode in WORKFLOW_POSTGRES_URL asks for it');
    expect(required.stderr).toContain('sslmode=disable');
    expect(required.stderr).not.toMatch(/^\s+at /m);
  }
});
