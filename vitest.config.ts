import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/*.test.ts'],
    globalSetup: 'tests/support/global-setup.ts',
    // Whole programs are started; the machine may be small and busy.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    // Node runs TypeScript itself, and the tests are to load modules as the programs do.
    experimental: { viteModuleRunner: false },
  },
});
