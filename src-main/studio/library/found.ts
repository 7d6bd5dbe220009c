import { readdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';

export interface FoundModel {
  name: string;
  path: string;
  format: 'GGUF' | 'Hugging Face' | 'diffusers folder' | 'checkpoint in one file';
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
    { place: 'ComfyUI', folder: join(home, 'ComfyUI', 'models', 'checkpoints'), find: findCheckpoints },
    { place: 'ComfyUI', folder: join(home, 'Documents', 'ComfyUI', 'models', 'checkpoints'), find: findCheckpoints },
    {
      place: 'Stable Diffusion web UI',
      folder: join(home, 'stable-diffusion-webui', 'models', 'Stable-diffusion'),
      find: findCheckpoints,
    },
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

/** `*.safetensors` up to two folders deep: where such programs keep whole models, nothing else lies. */
async function findCheckpoints(folder: string, depth = 2): Promise<Found[]> {
  const found: Found[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && depth > 1) found.push(...(await findCheckpoints(path, depth - 1)));
    else if (/\.safetensors$/i.test(entry.name)) {
      const bytes = await fileBytes(path);
      if (bytes) found.push({ name: basename(path, '.safetensors'), path, format: 'checkpoint in one file', bytes });
    }
  }
  return found;
}

/** Parts of a model that makes pictures, each in a folder of its own. */
const PARTS = ['unet', 'transformer', 'vae', 'text_encoder', 'text_encoder_2'];

/** Weights of a snapshot: beside its config.json, or in the folders of the parts that its model_index.json names. */
async function weightsOf(snapshot: string): Promise<{ format: Found['format']; files: string[] } | undefined> {
  const inside = await entries(snapshot);
  const weights = (names: string[]) => names.filter((file) => file.endsWith('.safetensors'));
  if (!inside.includes('model_index.json'))
    return inside.includes('config.json') ? { format: 'Hugging Face', files: weights(inside) } : undefined;
  const parts = await Promise.all(
    PARTS.map(async (part) => weights(await entries(join(snapshot, part))).map((file) => join(part, file))),
  );
  return { format: 'diffusers folder', files: parts.flat() };
}

/** `models--<owner>--<name>/snapshots/<commit>` folders that hold a config and safetensors. */
async function findSnapshots(folder: string): Promise<Found[]> {
  const found: Found[] = [];
  for (const name of (await entries(folder)).filter((entry) => entry.startsWith('models--'))) {
    for (const commit of await entries(join(folder, name, 'snapshots'))) {
      const path = join(folder, name, 'snapshots', commit);
      const weights = await weightsOf(path);
      if (!weights || weights.files.length === 0) continue;
      const sizes = await Promise.all(weights.files.map((file) => fileBytes(join(path, file))));
      const bytes = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
      const { format } = weights;
      found.push({ name: name.slice('models--'.length).replaceAll('--', '/'), path, format, bytes });
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
