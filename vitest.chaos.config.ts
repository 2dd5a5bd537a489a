import { defineConfig } from 'vitest/config';
import common from './vitest.config.ts';

/** What dies, lapses, is away or comes twice. Minutes rather than seconds; needs npm alone. */
export default defineConfig({
  test: { ...common.test, include: ['tests/chaos/*.test.ts'], testTimeout: 300_000 },
});
