import type { Socket } from 'node:net';
import { Client as PgClient, type ClientConfig } from 'pg';

/** What pg's typings leave out. */
interface Insides {
  connection: { stream: Socket };
  saslSession: unknown;
  _handleAuthCleartextPassword(message: unknown): void;
  _handleAuthMD5Password(message: unknown): void;
  _handleAuthSASLFinal(message: unknown): void;
  _handleReadyForQuery(message: unknown): void;
}

const pg = PgClient.prototype as unknown as Insides;

/**
 * pg's client, which heeds `require_auth=scram-sha-256` in a URL as libpq does. By itself it tells the password, in
 * clear or as an MD5 hash, to whoever listens on the port and asks for it. By SCRAM it tells nothing, and the server
 * has to know the password, too.
 */
export class Client extends PgClient {
  readonly #requiresScram: boolean;
  #verified = false;

  constructor(config: ClientConfig = {}) {
    super(config);
    const url = URL.parse(config.connectionString ?? '');
    this.#requiresScram = url?.searchParams.get('require_auth') === 'scram-sha-256';
  }

  _handleAuthCleartextPassword(message: unknown): void {
    if (this.#requiresScram) this.#refuse();
    else pg._handleAuthCleartextPassword.call(this, message);
  }

  _handleAuthMD5Password(message: unknown): void {
    if (this.#requiresScram) this.#refuse();
    else pg._handleAuthMD5Password.call(this, message);
  }

  _handleAuthSASLFinal(message: unknown): void {
    pg._handleAuthSASLFinal.call(this, message);
    // Where the server's signature is wrong, the session is still there.
    this.#verified = (this as unknown as Insides).saslSession === null;
  }

  /** A server that asks for nothing lets everybody in, and is not known to be the right one. */
  _handleReadyForQuery(message: unknown): void {
    if (this.#requiresScram && !this.#verified) this.#refuse();
    else pg._handleReadyForQuery.call(this, message);
  }

  #refuse(): void {
    const error = new Error('Whoever answers there does not authenticate by SCRAM: it is not the server that is meant');
    (this as unknown as Insides).connection.stream.destroy(error);
  }
}
