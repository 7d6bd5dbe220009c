import { cpSync } from 'node:fs';
import { resolve } from 'node:path';
import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'electron-vite';

/** A test builds a package's files beside those in use. */
const out = process.env['EFFILORA_OUT'] ?? 'out';

/** The engine compiles its kernels on the user's machine: their sources travel beside the code that looks for them. */
const engineSources = {
  name: 'engine-sources',
  writeBundle() {
    for (const source of ['addon', 'stderr.cc'])
      cpSync(resolve('src-main/engine/tensorflow', source), resolve(out, 'main', source), { recursive: true });
  },
};

export default defineConfig({
  main: {
    plugins: [engineSources],
    build: {
      outDir: `${out}/main`,
      rollupOptions: {
        input: {
          index: resolve('src-main/index.ts'),
          stage: resolve('src-main/studio/stage/process.ts'),
          work: resolve('src-main/studio/work/process.ts'),
          probe: resolve('src-main/engine/devices/probe-process.ts'),
          trial: resolve('src-main/studio/doctor/trial-process.ts'),
          quickest: resolve('src-main/engine/quickest-process.ts'),
          process: resolve('src-main/trainer/process.ts'),
          tokenize: resolve('src-main/data/prepared/thread.ts'),
        },
        // All in one folder: code finds its neighbours (processes, sources) beside itself, whichever chunk it is in.
        output: { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
      },
    },
  },
  preload: {
    build: {
      outDir: `${out}/preload`,
      rollupOptions: { input: resolve('src-preload/index.ts'), output: { format: 'cjs', entryFileNames: 'index.cjs' } },
    },
  },
  renderer: {
    root: 'src-renderer',
    plugins: [vue()],
    build: {
      outDir: `${out}/renderer`,
      rollupOptions: { input: resolve('src-renderer/index.html') },
      // Data URLs would need a hole in the page's policy.
      assetsInlineLimit: 0,
    },
  },
});
