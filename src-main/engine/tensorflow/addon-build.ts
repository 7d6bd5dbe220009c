import { createHash } from 'node:crypto';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { lastLine, run } from '../command.ts';
import { onDisk } from '../folders.ts';
import { withLock } from '../lock.ts';
import { UserError } from '../types.ts';
import { compileAddon, type Installation } from './install.ts';

const SOURCES = onDisk(fileURLToPath(new URL('./addon/', import.meta.url)));

/** What lets loops over f32 become vector instructions: sums may be reordered; infinities and NaN keep their meaning. */
const LOOPS = [
  '-O3',
  '-fno-math-errno',
  '-fno-trapping-math',
  '-fno-signed-zeros',
  '-fassociative-math',
  '-freciprocal-math',
];
const WIDE = '-mprefer-vector-width=512';
/** Sums in the order they are written in, so that every level of instructions gives the same bits. */
const INTEGERS = ['-O3', '-fno-math-errno', '-fno-trapping-math', '-ffp-contract=off'];
const integers = (object: string, table: string, march: string, ...more: string[]) => ({
  ...{ source: 'integer-product.cc', object: `${object}.o` },
  flags: [...INTEGERS, `-march=${march}`, `-DSTUDIO_INTEGERS=${table}`, ...more],
});
const UNITS: { source: string; object: string; flags: string[] }[] = [
  ...[
    ...['module', 'graph', 'run', 'resident-calls', 'register'],
    ...['operations', 'packed-operations', 'residents', 'threads'],
  ].map((name) => ({ source: `${name}.cc`, object: `${name}.o`, flags: ['-O2'] })),
  { source: 'amx.cc', object: 'amx.o', flags: ['-O3', '-march=sapphirerapids'] },
  { source: 'amx-attention.cc', object: 'amx-attention.o', flags: [...LOOPS, '-march=sapphirerapids', WIDE] },
  {
    source: 'vector.cc',
    object: 'avx512.o',
    flags: [...LOOPS, '-march=x86-64-v4', WIDE, '-DSTUDIO_TABLE=tableAvx512'],
  },
  { source: 'vector.cc', object: 'avx2.o', flags: [...LOOPS, '-march=x86-64-v3', '-DSTUDIO_TABLE=tableAvx2'] },
  integers('integers-amx', 'integersAmx', 'sapphirerapids', '-DSTUDIO_TILES'),
  integers('integers-avx512', 'integersAvx512', 'cascadelake'),
  integers('integers-avxvnni', 'integersAvxVnni', 'alderlake'),
  integers('integers-avx2', 'integersAvx2', 'x86-64-v3'),
];

/** The addon's place: its name carries a hash of its sources, so that a new version never meets an old build. */
export function addonPath({ folder }: Installation): string {
  const hash = createHash('sha256').update(JSON.stringify(UNITS));
  for (const name of fs.readdirSync(SOURCES).sort())
    hash.update(name).update(fs.readFileSync(path.join(SOURCES, name)));
  return path.join(folder, `studio-${hash.digest('hex').slice(0, 12)}.node`);
}

/**
 * Compiles the addon beside TensorFlow's libraries, unless it is there; about 20 s on 2 cores, once a version.
 * @throws UserError when there is no compiler
 */
export async function buildAddon(installation: Installation, log: (line: string) => void = () => {}): Promise<string> {
  const target = addonPath(installation);
  if (fs.existsSync(target)) return target;
  return withLock(`${target}.lock`, async () => {
    if (!fs.existsSync(target)) await build(installation, target, log);
    return target;
  });
}

async function build(installation: Installation, target: string, log: (line: string) => void): Promise<void> {
  log('Compiling the step compiler and its kernels');
  const stage = await fsp.mkdtemp(`${target}.`);
  const headers = path.dirname(onDisk(createRequire(import.meta.url).resolve('node-api-headers/package.json')));
  const include = [`-I${path.join(headers, 'include')}`, `-I${path.join(installation.folder, 'tensorflow/include')}`];
  try {
    const objects: string[] = [];
    const waiting = [...UNITS];
    // A compiler takes some 150 MB: no more of them at once than there are processors.
    const compiler = async () => {
      for (let unit = waiting.shift(); unit; unit = waiting.shift()) objects.push(await compile(unit, stage, include));
    };
    await Promise.all(Array.from({ length: os.availableParallelism() }, compiler));
    const relative = path.join(path.basename(stage), 'studio.node');
    await compileAddon(installation.folder, objects, relative);
    await fsp.rename(path.join(stage, 'studio.node'), target);
  } finally {
    await fsp.rm(stage, { recursive: true, force: true });
  }
}

async function compile(
  { source, object, flags }: (typeof UNITS)[number],
  stage: string,
  include: string[],
): Promise<string> {
  const output = path.join(stage, object);
  const common = ['-c', '-fPIC', '-std=c++17', '-w', '-DNAPI_VERSION=8'];
  const args = [...common, ...flags, ...include, path.join(SOURCES, source), '-o', output];
  const result = await run(process.env.CXX ?? 'g++', args);
  if (result.code === 127)
    throw new UserError('No C++ compiler was found; install one (Debian: apt-get install g++) and start again');
  if (result.code !== 0) throw new UserError(`The step compiler did not compile: ${lastLine(result.stderr)}`);
  return output;
}
