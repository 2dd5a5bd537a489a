import { defineConfig } from 'vitest/config';
import common from './vitest.config.ts';

/** Tests that need programs from Debian's packages: another PostgreSQL, PgBouncer, Chromium. */
export default defineConfig({
  test: { ...common.test, include: ['tests/system/*.test.ts'] },
});
