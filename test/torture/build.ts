import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('../..', import.meta.url));
const source = (name: string) => path.join(root, 'src-main', name);

/**
 * Builds a studio (studio.js) with its processes into a folder of its own, as they lie in a package: started from there each takes
 * a third of the time that it takes from its source, and trials start hundreds of them. Returns the folder.
 */
export async function buildStudio(): Promise<string> {
  fs.mkdirSync(path.join(root, 'out'), { recursive: true });
  const folder = fs.mkdtempSync(path.join(root, 'out', 'torture-'));
  await build({
    ...{ configFile: false, root, logLevel: 'error' },
    build: {
      ...{ ssr: true, target: 'node20', outDir: folder, minify: false },
      rollupOptions: {
        input: {
          studio: fileURLToPath(new URL('./studio-process.ts', import.meta.url)),
          stage: source('studio/stage/process.ts'),
          work: source('studio/work/process.ts'),
          process: source('trainer/process.ts'),
          tokenize: source('data/prepared/thread.ts'),
        },
        output: { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
      },
    },
  });
  for (const name of ['addon', 'stderr.cc'])
    fs.cpSync(source(`engine/tensorflow/${name}`), path.join(folder, name), { recursive: true });
  return folder;
}
