import { execFile } from 'node:child_process';
import { chmod, chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serverUser } from '../../src/postgres/embedded/location.ts';

export interface Certificates {
  /** Files. */
  ca: string;
  certificate: string;
  key: string;
}

/** A certificate authority of its own, and a certificate from it for `localhost`. */
export async function createCertificates(directory: string): Promise<Certificates> {
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: directory });
  const newKey = ['-newkey', 'rsa:2048', '-nodes'];
  await openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=Test CA', '-keyout', 'ca.key', '-out', 'ca.crt');
  await openssl('req', ...newKey, '-subj', '/CN=localhost', '-keyout', 'server.key', '-out', 'server.csr');
  await writeFile(join(directory, 'names'), 'subjectAltName=DNS:localhost');
  const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
  await openssl('x509', '-req', '-in', 'server.csr', ...signed, '-out', 'server.crt');

  const key = join(directory, 'server.key');
  const user = serverUser();
  await chmod(key, 0o600);
  if (user) await chown(key, user.uid, user.gid);
  return { ca: join(directory, 'ca.crt'), certificate: join(directory, 'server.crt'), key };
}
