import { AsyncLocalStorage } from 'node:async_hooks';
import { Pool, type PoolClient } from 'pg';

const currentTransaction = new AsyncLocalStorage<PoolClient>();

/**
 * Runs `work`; whatever it does through a {@link JoinedPool} happens on `client`, inside its open transaction.
 * @param mapValue applied to every value that a statement binds
 */
export function joinTransaction<T>(
  client: PoolClient,
  work: () => Promise<T>,
  mapValue: (value: unknown) => unknown,
): Promise<T> {
  return currentTransaction.run(joined(client, mapValue), work);
}

/**
 * The pool that world-postgres gets. It commits an entity and its event separately (vercel/workflow
 * #3081); inside {@link joinTransaction} all of it, its own `begin … commit` included, becomes part of
 * one transaction. Outside it is the pool given.
 */
export class JoinedPool extends Pool {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    super(pool.options);
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

/** One statement at a time: world-postgres sends some in parallel, which pg deprecates on one connection. */
function joined(client: PoolClient, mapValue: (value: unknown) => unknown): PoolClient {
  let last: Promise<unknown> = Promise.resolve();
  const query = (statement: unknown, values?: unknown[]) => {
    const send = () => (client.query as (...args: unknown[]) => Promise<unknown>)(statement, values?.map(mapValue));
    const result = last.then(send, send);
    last = result.catch(() => undefined);
    return result;
  };
  return new Proxy(client, { get: (target, key) => (key === 'query' ? query : Reflect.get(target, key)) });
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
