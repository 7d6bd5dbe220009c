import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../engine/types.ts';
import { FileReader } from './file-reader.ts';
import { readJsonFile } from './json-file.ts';
import { isQuantizedTensor, quantized } from './quantized-folder.ts';
import { readSafetensorsHeader, type SafetensorsEntry } from './safetensors.ts';
import { checkTensorName } from './tensor-names.ts';
import type { ModelConfig } from './types.ts';

/** A folder's weight files, opened, and the tensors of one of its models by their own names. */
export interface FolderWeights {
  paths: string[];
  byteLength: number;
  entries: Map<string, { reader: FileReader; entry: SafetensorsEntry }>;
  close(): Promise<void>;
}

/** The index of a model of 1,000 shards and 100,000 tensors has 10 MB. */
const MOST_INDEX_BYTES = 64 << 20;
const MOST_SHARDS = 10_000;

/** Opens a folder's safetensors files. @throws UserError when they are missing, damaged, or hold what the model has no place for */
export const openFolderWeights = (folder: string, config: ModelConfig): Promise<FolderWeights> =>
  openTensors(folder, (entry, file) => {
    if (isQuantizedTensor(entry)) throw quantized(folder, `a method that config.json doesn't name (${entry.name})`);
    const name = canonicalName(entry.name);
    return isOfModel(name, config, file) ? name : undefined;
  });

/**
 * Opens a folder's safetensors files.
 * @param nameOf what a tensor is called in the model that is opened; undefined for those of another part
 * @param stems what the files may be called, without `.safetensors`: the first that is there counts
 * @throws UserError when they are missing or damaged, or hold a tensor twice
 */
export async function openTensors(
  folder: string,
  nameOf: (entry: SafetensorsEntry, file: string) => string | undefined,
  stems = ['model'],
): Promise<FolderWeights> {
  const paths = await weightFiles(folder, stems);
  const readers: FileReader[] = [];
  const close = async () => void (await Promise.all(readers.map((reader) => reader.close())));
  const entries: FolderWeights['entries'] = new Map();
  try {
    for (const file of paths) {
      const reader = await FileReader.open(file);
      readers.push(reader);
      for (const entry of (await readSafetensorsHeader(reader)).tensors.values()) {
        const name = nameOf(entry, reader.path);
        if (name === undefined) continue;
        if (entries.has(name))
          throw new UserError(`${reader.path} holds "${entry.name}", which is there already as "${name}"`);
        entries.set(name, { reader, entry });
      }
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { paths, entries, close, byteLength: readers.reduce((sum, reader) => sum + reader.byteLength, 0) };
}

/** The folder's weight files, in order. @throws UserError when there are none or some that the index names are missing */
async function weightFiles(folder: string, stems: string[]): Promise<string[]> {
  const places = stems.map((stem) => path.join(folder, `${stem}.safetensors`));
  const single = places.find((place) => fs.existsSync(place) || fs.existsSync(`${place}.index.json`));
  if (single === undefined) {
    const name = `${stems[0]}.safetensors`;
    throw new UserError(`${folder} holds no ${name} and no ${name}.index.json${otherWeights(folder)}`);
  }
  const index = `${single}.index.json`;
  if (!fs.existsSync(index)) return [single];
  const parsed = z.looseObject({ weight_map: z.record(z.string(), z.string()) }).safeParse(await readJsonFile(index, MOST_INDEX_BYTES)); // prettier-ignore
  if (!parsed.success) throw new UserError(`${index} has no weight_map; fetch it again`);
  const names = [...new Set(Object.values(parsed.data.weight_map))].sort();
  if (names.length === 0 || names.length > MOST_SHARDS)
    throw new UserError(`${index} names ${names.length} files; fetch it again`);
  if (names.some((name) => path.basename(name) !== name || name.includes('\0')))
    throw new UserError(`${index} names a file outside its folder`);
  const missing = names.filter((name) => !fs.existsSync(path.join(folder, name)));
  if (missing.length)
    throw new UserError(
      `${folder} lacks ${missing.length} of ${names.length} files that its index names (${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', …' : ''}); fetch the whole folder`,
    );
  return names.map((name) => path.join(folder, name));
}

/** What else a folder without safetensors holds, as a hint. */
function otherWeights(folder: string): string {
  const names = fs.readdirSync(folder);
  const gguf = names.find((name) => name.endsWith('.gguf'));
  if (gguf) return `; open its ${gguf} instead`;
  const pickle = names.find((name) => /^((diffusion_)?pytorch_model|consolidated).*\.(bin|pth)$/.test(name));
  if (pickle)
    return `; its ${pickle} is a pickle, which can run programs as it is read and is not opened: fetch the model as safetensors, or load it with transformers where you trust it and save it with save_pretrained`;
  return '; fetch the whole folder';
}

/** A tensor's name in the text model alone: a model with vision has it under another prefix, a bare decoder under none. */
export const canonicalName = (name: string) =>
  name
    .replace(/^(model\.)?(language_model|text_model)\.(model\.)?/, 'model.')
    .replace(/^model\.lm_head\./, 'lm_head.')
    .replace(/^(layers|embed_tokens|norm)\./, 'model.$1.');

const OTHER_PARTS = /^(model\.)?(vision_tower|multi_modal_projector|vision_model|connector|visual)\./;

/** Whether the text model uses a tensor: parts for images and stored RoPE frequencies it does without. @throws UserError */
function isOfModel(name: string, config: ModelConfig, file: string): boolean {
  if (OTHER_PARTS.test(name) || name.endsWith('rotary_emb.inv_freq')) return false;
  checkTensorName(name, name, config, file);
  return true;
}
