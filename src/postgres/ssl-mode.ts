import { withClient } from './with-client.ts';

/** pg's words; it gives this error no code. */
const NO_TLS = 'The server does not support SSL connections';

/** Whether a connection failed because its URL asks for TLS and the server has none. */
export function isWithoutTls(error: unknown): boolean {
  return error instanceof Error && error.message === NO_TLS;
}

/**
 * `sslmode=prefer` goes without TLS where the server has none. pg cannot do that, so it is found
 * out once, and pg told: the URL comes back with `disable`, or as it was.
 */
export async function settleSslMode(url: string): Promise<string> {
  const preferred = /([?&]sslmode=)prefer\b/;
  if (!preferred.test(url)) return url;
  try {
    await withClient(url, 'check', async () => undefined);
    return url;
  } catch (error) {
    if (!isWithoutTls(error)) throw error;
    return url.replace(preferred, '$1disable');
  }
}
