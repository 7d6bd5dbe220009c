import { defineConfig } from 'vitest/config';
import { LongFirst } from './test/support/long-first.ts';
import { PATIENCE_MS } from './test/support/patience.ts';

const everything = ['test/**/*.test.ts'];
/** What our kernels compute, once more with narrower vector instructions than this machine's. */
const kernels = ['products', 'packed', 'compiler'].map((name) => `test/engine/${name}.test.ts`);
/** What needs a GPU with f16, which SwiftShader is not. */
const half = ['engine', 'trainer'].map((room) => `test/${room}/webgpu-half.test.ts`);
/** What is computed on a GPU, once more on another software GPU than SwiftShader. */
const gpuKernels = [
  'test/engine/webgpu*.test.ts',
  'test/parity/webgpu-*.test.ts',
  'test/models/webgpu-*.test.ts',
  ...half,
];

const project = (name: string, include: string[], more: object) => ({
  test: {
    ...{ name, include },
    // Limits that only what hangs runs into, however slow or busy the machine. A hook may have to download.
    ...{ testTimeout: 300_000, hookTimeout: 900_000, expect: { poll: { timeout: PATIENCE_MS } } },
    ...more,
  },
});

export default defineConfig({
  test: {
    projects: [
      project('studio', everything, {
        exclude: half,
        globalSetup: 'test/support/build-once.ts',
        setupFiles: 'test/support/start-built.ts',
      }),
      project('avx2', kernels, { env: { EFFILORA_INSTRUCTIONS: 'avx2' } }),
      project('avxvnni', kernels, { env: { EFFILORA_INSTRUCTIONS: 'avxvnni' } }),
      project('avx512', kernels, { env: { EFFILORA_INSTRUCTIONS: 'avx512' } }),
      project('lavapipe', gpuKernels, { env: { EFFILORA_TEST_DRIVER: 'lavapipe' } }),
    ],
    // Here and not in the projects, where the command line's --maxWorkers would not reach it.
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
  },
});
