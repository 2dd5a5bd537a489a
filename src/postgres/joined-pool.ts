import { AsyncLocalStorage } from 'node:async_hooks';
import { Pool, type PoolClient } from 'pg';

const currentTransaction = new AsyncLocalStorage<PoolClient>();

/** What is changed of the statements that pass through. */
export interface StatementMap {
  /** Applied to every value that a statement binds. */
  value(value: unknown): unknown;
  /** Applied to the text of a statement. */
  text?(text: string): string;
}

/** Runs `work`; whatever it does through a {@link JoinedPool} happens on `client`, inside its open transaction. */
export function joinTransaction<T>(client: PoolClient, work: () => Promise<T>, map: StatementMap): Promise<T> {
  return currentTransaction.run(joined(client, map), work);
}

/**
 * The pool that world-postgres gets. It commits an entity and its event separately (vercel/workflow
 * #3081); inside {@link joinTransaction} all of it, its own `begin … commit` included, becomes part of
 * one transaction. Outside it is the pool given.
 */
export class JoinedPool extends Pool {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    // What world-postgres connects by itself, to listen, is a session that is not set up, and whose loss ends the process.
    super({ stream: refuseConnection });
    this.#pool = pool;
  }

  // The overloads of pg describe callbacks and cursors too; drizzle uses only promises.
  override query(statement: unknown, ...rest: unknown[]): never {
    const target: { query: (...args: unknown[]) => unknown } = currentTransaction.getStore() ?? this.#pool;
    return target.query(statement, ...rest) as never;
  }

  override connect(): never {
    const client = currentTransaction.getStore();
    return (client ? Promise.resolve(nested(client)) : this.#pool.connect()) as never;
  }
}

function refuseConnection(): never {
  throw new Error('World-postgres has no session of its own here.');
}

/** One statement at a time: world-postgres sends some in parallel, which pg deprecates on one connection. */
function joined(client: PoolClient, map: StatementMap): PoolClient {
  let last: Promise<unknown> = Promise.resolve();
  const query = (statement: unknown, values?: unknown[]) => {
    const mapped = map.text ? mapText(statement, map.text) : statement;
    const send = () => (client.query as (...args: unknown[]) => Promise<unknown>)(mapped, values?.map(map.value));
    const result = last.then(send, send);
    last = result.catch(() => undefined);
    return result;
  };
  return new Proxy(client, { get: (target, key) => (key === 'query' ? query : Reflect.get(target, key)) });
}

/** A prepared one whose text was changed is sent without its name, which belongs to the other text. */
function mapText(statement: unknown, map: (text: string) => string): unknown {
  if (typeof statement === 'string') return map(statement);
  const { text } = statement as { text: string };
  const mapped = map(text);
  return mapped === text ? statement : { ...(statement as object), text: mapped, name: undefined };
}

const SAVEPOINTS: Record<string, string> = {
  begin: 'SAVEPOINT nested',
  commit: 'RELEASE SAVEPOINT nested',
  rollback: 'ROLLBACK TO SAVEPOINT nested',
};

/** The same connection, for code that believes to open a transaction of its own. */
function nested(client: PoolClient): PoolClient {
  const query = (statement: string | { text: string }, ...rest: unknown[]) => {
    const text = typeof statement === 'string' ? statement : statement.text;
    const savepoint = SAVEPOINTS[text.trim().toLowerCase()];
    return (client.query as (...args: unknown[]) => unknown)(savepoint ?? statement, ...rest);
  };
  return new Proxy(client, {
    get(target, key) {
      if (key === 'query') return query;
      if (key === 'release') return () => undefined;
      return Reflect.get(target, key);
    },
  });
}
