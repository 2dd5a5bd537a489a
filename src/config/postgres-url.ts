import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import { z } from 'zod';

/** Those of libpq, and `no-verify` of pg, which is `require` by another name. */
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

/** A PostgreSQL URL that pg takes as psql would. The certificates that it names have been read once. */
export const postgresUrl = z
  .string()
  .refine((value) => /^postgres(ql)?:$/.test(URL.parse(value)?.protocol ?? ''), {
    error:
      'is not a PostgreSQL URL: write postgres://USER:PASSWORD@HOST:PORT/DATABASE (percent-encode special characters)',
    abort: true,
  })
  .superRefine((value, context) => {
    const problem = findTlsProblem(new URL(value));
    if (problem) context.addIssue({ code: 'custom', message: problem });
  })
  .transform(asInPsql);

/**
 * Gives `sslmode` the meaning that it has for psql: pg takes every mode but `disable` for
 * `verify-full`, and warns. `allow` becomes `prefer`: either may go without TLS, and pg has to be
 * helped with that (src/postgres/ssl-mode.ts). On a Unix socket there is no TLS, whatever the mode.
 */
export function asInPsql(url: string): string {
  const { searchParams: parameters = new URLSearchParams(), hostname = '' } = URL.parse(url) ?? {};
  const mode = parameters.get('sslmode');
  if (!mode || mode === 'no-verify' || parameters.has('uselibpqcompat')) return url;
  if (mode === 'allow') parameters.set('sslmode', 'prefer');
  if (isSocket(parameters.get('host') ?? hostname)) parameters.set('sslmode', 'disable');
  parameters.set('uselibpqcompat', 'true');
  return `${url.slice(0, url.indexOf('?'))}?${parameters.toString()}`;
}

/** What is wrong with the parameters for TLS, to be read after the variable and its value. */
function findTlsProblem({ searchParams: parameters, hostname }: URL): string | undefined {
  const mode = parameters.get('sslmode');
  if (mode && !SSL_MODES.includes(mode)) return `has an unknown sslmode: it is one of ${SSL_MODES.join(', ')}`;
  if (mode === 'verify-ca' && !parameters.has('sslrootcert')) {
    return 'has no certificate to verify with: add &sslrootcert=FILE, or write sslmode=verify-full for a public CA';
  }
  // pg compares the certificate of such a server with the name "localhost", and would trust the wrong one.
  if (mode === 'verify-full' && isIP((parameters.get('host') ?? hostname).replace(/^\[|\]$/g, ''))) {
    return 'has an IP address where sslmode=verify-full needs the name in the certificate: write the name, or sslmode=verify-ca';
  }
  const files: Record<string, Buffer> = {};
  for (const name of ['sslrootcert', 'sslcert', 'sslkey']) {
    const path = parameters.get(name);
    if (!path) continue;
    try {
      files[name] = readFileSync(path);
    } catch (error) {
      return `names a file that cannot be read: ${name}=${path} (${(error as { code?: string }).code})`;
    }
  }
  try {
    // Node takes a CA file without a certificate in it for one that trusts nobody.
    if (files.sslrootcert) void new X509Certificate(files.sslrootcert);
    createSecureContext({ cert: files.sslcert, key: files.sslkey });
    return undefined;
  } catch (error) {
    return `names a certificate or key that cannot be used: ${(error as Error).message}`;
  }
}

function isSocket(host: string): boolean {
  return decodeURIComponent(host).startsWith('/');
}
