import type { Client, ClientConfig, Connection, Query, QueryResult } from 'pg';

/**
 * Where every statement of ours looks for names: what is not PostgreSQL's own is written with its schema. Everybody
 * may create in `public` (in PostgreSQL 13 and 14, or where it was granted): a function there whose parameters fit
 * better is preferred to PostgreSQL's, and runs with our rights.
 */
export const SEARCH_PATH = 'pg_catalog, pg_temp';

/** By its full name, of constants alone: it means the same under any path. */
const SET_PATH = `SELECT pg_catalog.set_config('search_path', '${SEARCH_PATH}', true)`;

type Callback = (error: Error | null, result?: QueryResult) => void;

/** What pg has, and its typings leave out. */
interface OpenQuery extends Omit<Query, 'submit'> {
  submit(connection: Connection): void;
  text: string;
  queryMode: string | undefined;
  callback: Callback | undefined;
  prepare(connection: Connection): void;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, connection: Connection): void;
}

/** The parts of pg that are needed, which tools have their own copy of. */
export interface Pg {
  Client: new (config?: ClientConfig) => Client;
  Query: new (...args: never[]) => Query;
}

/**
 * Clients that need no setting of the session, for whoever is connected through a pooler, or does not know whether he
 * is: it lends another session to the next transaction, and what is set in one stays for others. So a transaction has
 * the path from its BEGIN on; a statement by itself is sent together with the one that sets it, in one round trip and,
 * since nothing lies between them but the end of the message, in one transaction. For the same reason, no statement has
 * a name: what was prepared in one session is unknown, or somebody else's, in the next.
 */
export function withOwnNames({ Client, Query }: Pg) {
  const OpenQuery = Query as unknown as new (statement: unknown, values: unknown, callback?: Callback) => OpenQuery;

  class Statement extends OpenQuery {
    readonly #isInTransaction: () => boolean;
    #setsPath = false;

    constructor(isInTransaction: () => boolean, ...args: ConstructorParameters<typeof OpenQuery>) {
      super(...args);
      this.#isInTransaction = isInTransaction;
    }

    override submit(connection: Connection): void {
      if (/^\s*begin\b/i.test(this.text)) {
        this.text = this.text.replace(/^[^;]*/, (begin) => `${begin}; SET LOCAL search_path = ${SEARCH_PATH}`);
      } else if (!this.#isInTransaction()) {
        this.#setsPath = true;
        this.queryMode = 'extended';
      }
      return super.submit(connection);
    }

    override prepare(connection: Connection): void {
      if (this.#setsPath) {
        connection.parse({ name: '', text: SET_PATH, types: [] }, true);
        connection.bind({}, true);
        connection.execute({ portal: '', rows: '' }, true);
      }
      super.prepare(connection);
    }

    override handleDataRow(message: unknown): void {
      if (!this.#setsPath) super.handleDataRow(message);
    }

    override handleCommandComplete(message: unknown, connection: Connection): void {
      if (this.#setsPath) this.#setsPath = false;
      else super.handleCommandComplete(message, connection);
    }
  }

  return class ClientWithOwnNames extends Client {
    #isInTransaction = false;

    constructor(config?: ClientConfig) {
      super(config);
      // Before pg itself sends what comes next.
      const { connection } = this as unknown as { connection: Connection };
      connection.on('readyForQuery', ({ status }: { status: string }) => (this.#isInTransaction = status !== 'I'));
    }

    // The overloads of pg describe callbacks and cursors too.
    override query(statement: unknown, ...rest: unknown[]): never {
      const submit = super.query.bind(this) as (query: unknown) => unknown;
      if (typeof (statement as { submit?: unknown }).submit === 'function') return submit(statement) as never;
      const [values, callback] = (typeof rest[0] === 'function' ? [undefined, ...rest] : rest) as [unknown, Callback?];
      const unnamed = typeof statement === 'object' ? { ...statement, name: undefined } : statement;
      const query = new Statement(() => this.#isInTransaction, unnamed, values, callback);
      if (query.callback) return submit(query) as never;
      return new Promise((resolve, reject) => {
        query.callback = (error, result) => (error ? reject(error) : resolve(result));
        submit(query);
      }) as never;
    }
  };
}
