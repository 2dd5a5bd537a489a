import { explainState, rootOf } from './conditions.ts';
import { isWithoutTls } from './ssl-mode.ts';
import { isUnreachable } from './transient.ts';

/** SQLSTATEs that say what is wrong with the connection string or its role. */
const REFUSED_BY_SERVER: Record<string, (variable: string) => string> = {
  '28P01': (variable) => `The user or the password in ${variable} is wrong.`,
  '28000': (variable) =>
    `The server does not let this user in: see its pg_hba.conf. If it wants encryption, add ?sslmode=require to ${variable}.`,
  '3D000': (variable) => `The database does not exist: create it, or correct ${variable}.`,
  '42501': (variable) => `The role of ${variable} lacks a privilege. See: npm run postgres-world:setup -- --check`,
};

/** Node's codes for a certificate that it does not accept. */
const UNTRUSTED =
  /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?)|CERT_\w+)$/;

/**
 * What failed and what to do, for an error of connecting; undefined for any other.
 * @param variable the one that holds the URL
 */
export function explainConnection(error: unknown, variable: string): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { message, code } = rootOf(error);
  const refused = REFUSED_BY_SERVER[code];
  if (message.includes('client password must be a string')) {
    return `The server wants a password, and ${variable} has none.`;
  }
  if (refused) return `${message}\n  ${refused(variable)}`;
  if (UNTRUSTED.test(code)) {
    // What follows is advice for whoever starts Node.
    const [reason] = message.split(';');
    return (
      `The certificate of the PostgreSQL server is not trusted: ${reason}\n` +
      `  Name the file with the certificate of its CA in ${variable}: …&sslrootcert=FILE\n` +
      '  (or write sslmode=require, which encrypts, but trusts whoever answers).'
    );
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `The certificate of the PostgreSQL server is for another name: ${message}\n  Use the host name of the certificate in ${variable}, or sslmode=verify-ca.`;
  }
  if (isWithoutTls(error)) {
    return `The PostgreSQL server has no TLS, and the sslmode in ${variable} asks for it.\n  Turn it on there (ssl = on), or write sslmode=disable.`;
  }
  if (code === '55P03') return `${message}\n  Somebody else holds a lock on it, another setup perhaps. Try again.`;
  if (code === '57P03') {
    return `PostgreSQL is not ready: ${message}\n  It starts, recovers or stops: see its log, and try again.`;
  }
  const state = explainState(error);
  if (state) return `${state.what}: ${message}\n  ${state.remedy}.`;
  if (isUnreachable(error)) {
    return `Cannot reach PostgreSQL: ${message || code}\n  Check ${variable}, and that the server runs.`;
  }
  return undefined;
}
