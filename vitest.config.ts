import { defineConfig } from 'vitest/config';
import { PATIENCE_MS } from './test/support/patience.ts';

const everything = ['test/**/*.test.ts'];
/** What our kernels compute, once more with narrower vector instructions than this machine's. */
const kernels = ['products', 'packed', 'compiler'].map((name) => `test/engine/${name}.test.ts`);

const project = (name: string, include: string[], more: object) => ({
  extends: true as const,
  test: { name, include, ...more },
});

export default defineConfig({
  test: {
    projects: [
      project('studio', everything, {
        globalSetup: 'test/support/build-once.ts',
        setupFiles: 'test/support/start-built.ts',
      }),
      project('avx2', kernels, { env: { EFFILORA_INSTRUCTIONS: 'avx2' } }),
      project('avx512', kernels, { env: { EFFILORA_INSTRUCTIONS: 'avx512' } }),
    ],
    pool: 'forks',
    maxWorkers: 2,
    // Limits that only what hangs runs into, however slow or busy the machine. A hook may have to download.
    testTimeout: 300_000,
    hookTimeout: 900_000,
    expect: { poll: { timeout: PATIENCE_MS } },
  },
});
