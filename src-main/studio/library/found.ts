import { readdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';

export interface FoundModel {
  name: string;
  path: string;
  format: 'GGUF' | 'Hugging Face';
  bytes: number;
  place: string;
}

/** Where other programs keep models, in the user's home. */
export function modelCaches(environment: NodeJS.ProcessEnv = process.env, home = homedir()) {
  const huggingFace = environment['HF_HOME'] ?? join(home, '.cache', 'huggingface');
  return [
    { place: 'Hugging Face', folder: environment['HF_HUB_CACHE'] ?? join(huggingFace, 'hub'), find: findSnapshots },
    { place: 'LM Studio', folder: join(home, '.lmstudio', 'models'), find: findGguf },
    { place: 'LM Studio', folder: join(home, '.cache', 'lm-studio', 'models'), find: findGguf },
    { place: 'Ollama', folder: environment['OLLAMA_MODELS'] ?? join(home, '.ollama', 'models'), find: findOllama },
    { place: 'llama.cpp', folder: environment['LLAMA_CACHE'] ?? join(home, '.cache', 'llama.cpp'), find: findGguf },
  ];
}

/** Models in the caches of other programs. Folders that aren't there hold none. */
export async function findModels(caches = modelCaches()): Promise<FoundModel[]> {
  const found = await Promise.all(
    caches.map(async ({ place, folder, find }) => (await find(folder)).map((model) => ({ ...model, place }))),
  );
  return found.flat();
}

type Found = Omit<FoundModel, 'place'>;

async function entries(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

async function fileBytes(path: string): Promise<number | undefined> {
  return stat(path).then(
    (found) => (found.isFile() ? found.size : undefined),
    () => undefined,
  );
}

/** `*.gguf` up to four folders deep (publisher/repository/quantization/file). */
async function findGguf(folder: string, depth = 4): Promise<Found[]> {
  const found: Found[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && depth > 1) found.push(...(await findGguf(path, depth - 1)));
    // Parts after the first of a split file, and vision projectors, are no models of their own.
    else if (/\.gguf$/i.test(entry.name) && !/-0000[2-9]-of-|mmproj/i.test(entry.name)) {
      const bytes = await fileBytes(path);
      if (bytes) found.push({ name: basename(path, '.gguf'), path, format: 'GGUF', bytes });
    }
  }
  return found;
}

/** `models--<owner>--<name>/snapshots/<commit>` folders that hold a config and safetensors. */
async function findSnapshots(folder: string): Promise<Found[]> {
  const found: Found[] = [];
  for (const name of (await entries(folder)).filter((entry) => entry.startsWith('models--'))) {
    for (const commit of await entries(join(folder, name, 'snapshots'))) {
      const path = join(folder, name, 'snapshots', commit);
      const inside = await entries(path);
      const weights = inside.filter((file) => file.endsWith('.safetensors'));
      if (!inside.includes('config.json') || weights.length === 0) continue;
      const sizes = await Promise.all(weights.map((file) => fileBytes(join(path, file))));
      const bytes = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
      found.push({ name: name.slice('models--'.length).replaceAll('--', '/'), path, format: 'Hugging Face', bytes });
    }
  }
  return found;
}

/** Ollama's manifests name the blob that is the model. */
async function findOllama(folder: string): Promise<Found[]> {
  const library = join(folder, 'manifests', 'registry.ollama.ai', 'library');
  const found: Found[] = [];
  for (const name of await entries(library))
    for (const tag of await entries(join(library, name))) {
      const digest = await ollamaBlob(join(library, name, tag));
      if (!digest) continue;
      const path = join(folder, 'blobs', digest.replace(':', '-'));
      const bytes = await fileBytes(path);
      if (bytes) found.push({ name: `${name}:${tag}`, path, format: 'GGUF', bytes });
    }
  return found;
}

async function ollamaBlob(manifest: string): Promise<string | undefined> {
  try {
    const { layers } = JSON.parse(await readFile(manifest, 'utf8')) as {
      layers?: { mediaType?: string; digest?: string }[];
    };
    const digest = layers?.find((layer) => layer.mediaType === 'application/vnd.ollama.image.model')?.digest;
    return digest && /^sha256:[0-9a-f]{64}$/.test(digest) ? digest : undefined;
  } catch {
    return undefined;
  }
}
