import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Builds the page with vite when it is older than its sources, or not there. A package carries it built. */
export async function ensureRenderer(root: string, log: (line: string) => void): Promise<string> {
  const outDir = join(root, 'out', 'renderer');
  const sources = join(root, 'src-renderer');
  const built = await newest(join(outDir, 'index.html'));
  const changed = Math.max(
    await newest(sources),
    await newest(join(root, 'src-preload')),
    await newest(join(root, 'package-lock.json')),
  );
  if (built >= changed || changed === 0) return outDir;
  log('Building the page');
  const [{ build }, { default: vue }] = await Promise.all([import('vite'), import('@vitejs/plugin-vue')]);
  await build({
    root: sources,
    configFile: false,
    logLevel: 'warn',
    plugins: [vue()],
    build: { outDir, emptyOutDir: true, assetsInlineLimit: 0 },
  });
  return outDir;
}

/** The latest change under `path`, milliseconds; 0 when it isn't there. */
async function newest(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) return found?.mtimeMs ?? 0;
  const times = await Promise.all((await readdir(path)).map((name) => newest(join(path, name))));
  return Math.max(0, ...times);
}
