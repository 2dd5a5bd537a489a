/**
 * Loaded into the dashboard before its own code, which has a pg of its own: it looks for names where all of ours do.
 */
import { createRequire } from 'node:module';
import type pgModule from 'pg';
import type { PoolConfig } from 'pg';
import { withOwnNames } from '../postgres/own-names.ts';

const pg = createRequire(import.meta.resolve('@pg-boss/dashboard/package.json'))('pg') as typeof pgModule;
const Client = withOwnNames(pg);

Object.assign(pg, {
  Pool: class extends pg.Pool {
    constructor(options?: PoolConfig) {
      super({ ...options, Client });
    }
  },
});
