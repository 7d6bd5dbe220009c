import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';
import { lastLine, run } from '../command.ts';
import { cacheFolder, onDisk } from '../folders.ts';
import { withLock } from '../lock.ts';
import { downloadWheel, extractWheel, sha256OfFile, type Wheel } from '../python-wheel.ts';
import { UserError } from '../types.ts';
import { gpusHere } from '../devices/here.ts';
import { installCuda } from './cuda.ts';

/** TensorFlow's release, fixed: the binding is built against it. */
export const TENSORFLOW_VERSION = '2.21.0';

const TAGS = { python: '3.11', abi: 'cp311', platforms: ['manylinux_2_27_x86_64'] };
const WHEELS: Record<'cpu' | 'cuda', Wheel> = {
  cpu: {
    name: 'tensorflow-cpu',
    version: TENSORFLOW_VERSION,
    tags: TAGS,
    sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
  },
  cuda: {
    name: 'tensorflow',
    version: TENSORFLOW_VERSION,
    tags: TAGS,
    sha256: '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124',
  },
};

/** Where the engine lies: `tensorflow/` holds the libraries and headers of the wheel, the bindings lie beside it. */
export interface Installation {
  folder: string;
  variant: 'cpu' | 'cuda';
  binding: string;
}

interface Manifest {
  files: Record<string, { size: number; sha256: string }>;
}

/** The installation this machine uses, whether it is there or not. */
export async function expectedInstallation(): Promise<Installation> {
  const [forGpus, plain] = [installationOf('cuda'), installationOf('cpu')];
  if ((await gpusHere()).some(({ vendor }) => vendor === 'nvidia')) return forGpus;
  // A driver that has stopped answering is no reason to fetch anything: what was made for it runs on the processor, too.
  return !(await isInstalled(plain)) && (await isInstalled(forGpus)) ? forGpus : plain;
}

function installationOf(variant: Installation['variant']): Installation {
  const folder = path.join(cacheFolder(), 'engine', `tensorflow-${variant}-${TENSORFLOW_VERSION}`);
  return { folder, variant, binding: path.join(folder, 'tfjs_binding.node') };
}

/** True if every file of the manifest is there with its size; with `deep`, with its SHA-256. */
export async function isInstalled(installation: Installation, deep = false): Promise<boolean> {
  try {
    const text = await fsp.readFile(path.join(installation.folder, 'manifest.json'), 'utf8');
    for (const [name, { size, sha256 }] of Object.entries((JSON.parse(text) as Manifest).files)) {
      const file = path.join(installation.folder, name);
      if ((await fsp.stat(file)).size !== size) return false;
      if (deep && (await sha256OfFile(file)) !== sha256) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/**
 * Brings libtensorflow from its PyPI wheel and compiles tfjs-node-gpu's binding against it, unless both are there.
 * Everything is laid down aside and renamed at the end; what an earlier, interrupted set-up left is replaced.
 * @throws UserError in one sentence: no x86-64 Linux, no pip, no compiler, no network.
 */
export async function installTensorflow(log: (line: string) => void): Promise<Installation> {
  const installation = await expectedInstallation();
  if (await isInstalled(installation)) return installation;
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new UserError(
      `The tensorflow engine runs on Linux (or WSL 2) on x86-64; this is ${process.platform} on ${process.arch}, the wasm engine serves instead`,
    );
  return withLock(`${installation.folder}.lock`, async () => {
    if (!(await isInstalled(installation))) await layDown(installation, log);
    return installation;
  });
}

async function layDown({ folder, variant }: Installation, log: (line: string) => void): Promise<void> {
  const stage = `${folder}.partial`;
  const wheels = path.join(cacheFolder(), 'wheels');
  await fsp.rm(stage, { recursive: true, force: true });
  await fsp.mkdir(stage, { recursive: true });
  log(`Fetching TensorFlow ${TENSORFLOW_VERSION} (${variant})`);
  const wheel = await downloadWheel(WHEELS[variant], wheels);
  log('Unpacking TensorFlow');
  await extractWheel(wheel, stage, ['tensorflow/libtensorflow', 'tensorflow/include/']);
  if (variant === 'cuda') await installCuda(stage, wheels, log);
  log("Compiling TensorFlow's binding");
  await compileBinding(stage);
  const files: Manifest['files'] = {};
  for (const name of [
    'tensorflow/libtensorflow_cc.so.2',
    'tensorflow/libtensorflow_framework.so.2',
    'tfjs_binding.node',
    'stderr.node',
  ]) {
    const file = path.join(stage, name);
    files[name] = { size: (await fsp.stat(file)).size, sha256: await sha256OfFile(file) };
  }
  await fsp.writeFile(path.join(stage, 'manifest.json'), JSON.stringify({ files }, null, 1));
  await fsp.rm(folder, { recursive: true, force: true });
  await fsp.rename(stage, folder);
  await fsp.rm(wheel);
}

/** Compiles C++ sources into an addon beside the libraries of `folder`, `linked` to them or not. Needs only node_api.h, so it fits every Node and Electron. */
export async function compileAddon(folder: string, sources: string[], output: string, linked = true): Promise<void> {
  const require = createRequire(import.meta.url);
  const headers = path.join(path.dirname(onDisk(require.resolve('node-api-headers/package.json'))), 'include');
  const libraries = path.join(folder, 'tensorflow');
  const link = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'].map((name) => path.join(libraries, name));
  const flags = ['-shared', '-fPIC', '-O2', '-std=c++17', '-w', '-DNAPI_VERSION=8'];
  const include = [`-I${headers}`, `-I${path.join(libraries, 'include')}`];
  const libs = linked ? [...link, '-Wl,-rpath,$ORIGIN/tensorflow'] : [];
  const compiler = process.env.CXX ?? 'g++';
  const result = await run(compiler, [...flags, ...include, ...sources, '-o', path.join(folder, output), ...libs]);
  if (result.code === 127)
    throw new UserError('No C++ compiler was found; install one (Debian: apt-get install g++) and start again');
  if (result.code !== 0) throw new UserError(`The engine's binding did not compile: ${lastLine(result.stderr)}`);
}

async function compileBinding(folder: string): Promise<void> {
  const require = createRequire(import.meta.url);
  const sources = path.join(path.dirname(onDisk(require.resolve('@tensorflow/tfjs-node-gpu/package.json'))), 'binding');
  const names = fs.readdirSync(sources).filter((name) => name.endsWith('.cc'));
  await compileAddon(folder, [onDisk(fileURLToPath(new URL('./stderr.cc', import.meta.url)))], 'stderr.node', false);
  const paths = names.map((name) => path.join(sources, name));
  await compileAddon(folder, paths, 'tfjs_binding.node');
}
