import { defineConfig } from 'vitest/config';
import common from './vitest.config.ts';

/** Tests that need programs from Debian's packages: another PostgreSQL, PgBouncer, Chromium. */
export default defineConfig({
  // One file at a time: one of them runs the whole other suite.
  test: { ...common.test, include: ['tests/system/*.test.ts'], maxWorkers: 1 },
});
