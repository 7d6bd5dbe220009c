import { defineConfig } from 'vitest/config';
import { PATIENCE_MS } from './test/support/patience.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Limits that only what hangs runs into, however slow or busy the machine. A hook may have to download.
    testTimeout: 300_000,
    hookTimeout: 900_000,
    expect: { poll: { timeout: PATIENCE_MS } },
  },
});
