import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The kit's programs, and the processes that the studio's code starts, by where that looks for them. */
const PROGRAMS: Record<string, string> = {
  'test/kit/kit': 'test/kit/kit.ts',
  'test/kit/facts': 'test/kit/facts.ts',
  'test/kit/doctor': 'test/kit/doctor.ts',
  'test/kit/kernels': 'test/kit/kernels.ts',
  'test/kit/test-file': 'test/kit/test-file.ts',
  'test/bench/webgpu-step': 'test/bench/webgpu-step.ts',
  'src-main/studio/doctor/trial': 'src-main/studio/doctor/trial-process.ts',
  'src-main/engine/devices/probe': 'src-main/engine/devices/probe-process.ts',
};

/** What the studio's code asks for by name at run time: it must be there once. */
const PACKAGES = ['', '-backend-cpu', '-backend-wasm', '-backend-webgpu'].map((part) => `@tensorflow/tfjs${part}`);

/** Where the kit lies unpacked. */
const PLACE = `new URL(import.meta.url.replace(/^(.*\\/unpacked\\/).*$/, '$1'))`;

/** Each source keeps its place: what it looks for beside itself lies at the same place in the kit. */
const places: Plugin = {
  name: 'places',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/](src-main|src-preload|test)[\\/].*\.ts$/ }, (file) => {
      const place = path.relative(root, file.path).split(path.sep).join('/').replace(/ts$/, 'js');
      const contents = readFileSync(file.path, 'utf8')
        .replaceAll('import.meta.url', `new URL('${place}', KIT).href`)
        .replaceAll('import.meta.dirname', `decodeURIComponent(new URL('${path.dirname(place)}', KIT).pathname)`);
      return { contents, loader: 'ts' };
    });
  },
};

/**
 * Puts into `folder` what the kit runs: its programs, those tests, and the packages that both need.
 * @param tests by their places in the repository
 */
export async function bundle(folder: string, tests: string[]): Promise<void> {
  const entryPoints = { ...PROGRAMS, ...Object.fromEntries(tests.map((file) => [file.replace(/\.ts$/, ''), file])) };
  await build({
    ...{ absWorkingDir: root, entryPoints, outdir: folder, plugins: [places], logLevel: 'error' },
    ...{ bundle: true, splitting: true, platform: 'node', format: 'esm', target: 'node20' },
    external: ['@tensorflow/*', 'webgpu', 'esbuild'],
    alias: { vitest: './test/kit/vitest.ts', sharp: './test/kit/sharp.ts' },
    chunkNames: 'chunks/[hash]',
    // Packages in CommonJS ask for Node's modules.
    banner: {
      js: `import { createRequire as requireOf } from 'node:module'; const KIT = ${PLACE}; const require = requireOf(KIT);`,
    },
  });
  await copyPackages(folder);
}

/** Of the packages that are not in the bundle what their main files load, and what is not JavaScript. */
async function copyPackages(folder: string): Promise<void> {
  const { metafile } = await build({
    ...{ absWorkingDir: root, entryPoints: PACKAGES, outdir: folder, write: false, metafile: true },
    ...{ bundle: true, platform: 'node', external: ['xor4096', 'encoding'], logLevel: 'error' },
  });
  const files = new Set(Object.keys(metafile.inputs));
  const add = (name: string, pick: RegExp) => {
    const listed = readdirSync(path.join(root, 'node_modules', name), { recursive: true, encoding: 'utf8' });
    for (const file of listed.filter((each) => pick.test(each))) files.add(`node_modules/${name}/${file}`);
  };
  add('webgpu', /^(index\.js|LICENSE\.md|dist\/linux-x64\/dawn\.node)$/);
  add('@tensorflow/tfjs-backend-wasm', /^dist\/[^/]+\.wasm$/);
  for (const file of [...files]) files.add(`${/^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(file)![0]}/package.json`);
  for (const file of files) {
    mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
    copyFileSync(path.join(root, file), path.join(folder, file));
  }
}
