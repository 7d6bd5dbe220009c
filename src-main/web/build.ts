import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from '../engine/lock.ts';

/** Builds the page with vite when it is older than its sources, or not there. A package carries it built. */
export async function ensureRenderer(root: string, log: (line: string) => void): Promise<string> {
  const outDir = join(root, 'out', 'renderer');
  const sources = join(root, 'src-renderer');
  const inputs = [sources, join(root, 'src-preload'), join(root, 'package-lock.json')];
  const isNeeded = () => isOlder(join(outDir, 'index.html'), inputs);
  if (!isNeeded()) return outDir;
  // Two studios started at once build it once.
  return withLock(join(root, 'out', 'renderer.lock'), async () => {
    if (isNeeded()) await build(sources, outDir, log);
    return outDir;
  });
}

async function build(sources: string, outDir: string, log: (line: string) => void): Promise<void> {
  log('Building the page');
  const [vite, { default: vue }] = await Promise.all([import('vite'), import('@vitejs/plugin-vue')]);
  await vite.build({
    root: sources,
    configFile: false,
    logLevel: 'error',
    plugins: [vue()],
    build: { outDir, emptyOutDir: true, assetsInlineLimit: 0 },
  });
}

/** True if something under `sources` changed after `output` was written. Sources that aren't there change never. */
export function isOlder(output: string, sources: string[]): boolean {
  return newest(output) < Math.max(...sources.map(newest));
}

/** The latest change under `path`, milliseconds; 0 when it isn't there. */
function newest(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isDirectory()) return found?.mtimeMs ?? 0;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}
