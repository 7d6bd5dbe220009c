import { cpSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vue from '@vitejs/plugin-vue';
import { build } from 'vite';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Packages that lie beside the bundle as they are: native, or the engine's, which only trainer and helpers open. */
const APART = ['electron', 'libsql'];

/** The processes the main process starts, by what it calls them. */
const PROCESSES = {
  'process.js': 'trainer/process.ts',
  'work.js': 'studio/work/process.ts',
  'stage.js': 'studio/stage/process.ts',
};

/**
 * Builds the studio's real main process, preload and page for Electron 22 (Node 16, Chromium 108) into an app's folder, as
 * `electron-vite build` does for the Electron in use: CommonJS, and what that Node lacks supplied by stand-ins.cjs.
 */
export async function buildApp(folder: string): Promise<void> {
  const shared = { configFile: false as const, root, logLevel: 'error' as const };
  const commonJs = (entry: string, out: string) =>
    build({
      ...shared,
      ssr: { noExternal: true, external: APART },
      build: {
        ssr: resolve(root, entry),
        target: 'node16',
        outDir: join(folder, 'out', out),
        rollupOptions: { external: APART, output: { format: 'cjs', entryFileNames: 'index.cjs' } },
      },
    });
  await commonJs('src-main/index.ts', 'main');
  await commonJs('src-preload/index.ts', 'preload');
  await build({
    ...shared,
    root: join(root, 'src-renderer'),
    plugins: [vue()],
    build: { outDir: join(folder, 'out', 'renderer'), target: 'chrome108', assetsInlineLimit: 0, emptyOutDir: true },
  });
  // Trainer and helpers: our source, by a Node that can.
  const main = join(folder, 'out', 'main');
  writeFileSync(join(main, 'package.json'), JSON.stringify({ type: 'module' }));
  for (const [name, source] of Object.entries(PROCESSES))
    writeFileSync(join(main, name), `import ${JSON.stringify(pathToFileURL(join(root, 'src-main', source)).href)};\n`);
  cpSync(join(root, 'resources'), join(folder, 'resources'), { recursive: true });
  cpSync(fileURLToPath(new URL('./stand-ins.cjs', import.meta.url)), join(folder, 'main.cjs'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'effilora-studio', main: 'main.cjs' }));
}
