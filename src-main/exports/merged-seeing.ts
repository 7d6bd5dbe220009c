import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { canonicalName, openTensors } from '../models/huggingface-weights.ts';
import { readFloats } from '../models/safetensors.ts';
import type { ModelFile } from '../models/types.ts';
import { visionName } from '../models/vision/towers/names.ts';
import type { MergedTensors } from './merge.ts';
import { copyTexts, TORCH_DTYPES, writeJson, writeWeights, type FloatType } from './merged-safetensors.ts';
import { languageModule, nameInside } from './seeing-names.ts';

/** Buffers that transformers makes itself: whole numbers, or counted. */
const MADE = /(position_ids|inv_freq)$/;

/**
 * Writes a merged model that takes pictures as a Hugging Face folder: the language model and what it sees with, each with what it learned. A language model that lies elsewhere comes into the folder.
 */
export async function writeMergedSeeing(
  folder: string,
  base: ModelFile,
  merged: MergedTensors,
  type: FloatType,
  onTensor: (done: number, total: number) => void,
): Promise<void> {
  const source = base.sees!.place;
  const { entries, close } = await openTensors(source, ({ name }) => name);
  try {
    const own = [...entries].filter(([name]) => !MADE.test(name));
    const inside = new Set(own.map(([name]) => canonicalName(name)));
    const elsewhere = base.tensors.filter(({ name }) => !inside.has(name));
    const module = languageModule(base);
    const tensors = [
      ...own.map(([name, { reader, entry }]) => ({
        ...{ name, shape: entry.shape },
        read: async () => {
          const ours = visionName(entry);
          if (ours === undefined) return merged.read(canonicalName(name));
          return merged.seen(ours, await readFloats(reader, entry));
        },
      })),
      ...elsewhere.map(({ name, shape }) => ({
        ...{ name: nameInside(name, module), shape },
        read: () => merged.read(name),
      })),
    ];
    await writeWeights(folder, tensors, type, onTensor);
  } finally {
    await close();
  }
  const config = await fsp.readFile(path.join(source, 'config.json'), 'utf8');
  await fsp.writeFile(path.join(folder, 'config.json'), mergedConfig(config, TORCH_DTYPES[type]));
  // Of a language model from elsewhere, with the names that this folder gives its tokens.
  if (!fs.existsSync(path.join(source, 'tokenizer.json')) && base.tokenizer)
    await writeJson(folder, 'tokenizer.json', base.tokenizer.description.json);
  await copyTexts(source, folder);
}

const OTHER = /"effilora_text_model"\s*:\s*"(?:[^"\\]|\\.)*"/.source;

/** Changed as text: transformers refuses a 1 where it had written 1.0, and JSON.parse makes one number of both. */
const mergedConfig = (json: string, dtype: string): string =>
  json
    .replace(new RegExp(`,\\s*${OTHER}|${OTHER}\\s*,\\s*`), '')
    .replace(/("(?:torch_)?dtype"\s*:\s*)"\w+"/g, `$1"${dtype}"`);
