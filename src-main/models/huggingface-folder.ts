import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../engine/types.ts';
import { chatTemplate } from './chat-template.ts';
import { configFromHuggingFace } from './config-huggingface.ts';
import { FileReader } from './file-reader.ts';
import { fileSha256, foldHashes } from './identity.ts';
import { readFloats, readSafetensorsHeader, type SafetensorsEntry } from './safetensors.ts';
import { tokenizerOfFolder, type TokenizerConfig } from './tokenizer/folder-tokenizer.ts';
import { createTokenizer } from './tokenizer/tokenizer.ts';
import type { ChatTemplate, ModelFile, Tokenizer } from './types.ts';

/** The largest JSON file of a model that is read (tokenizer.json of a 262,144-token vocabulary has 33 MB). */
const MAX_JSON_BYTES = 200_000_000;

async function readJson(file: string): Promise<unknown> {
  const { size } = await fsp.stat(file);
  if (size > MAX_JSON_BYTES)
    throw new UserError(`${file} has ${size} bytes, too many for a model's ${path.basename(file)}`);
  try {
    return JSON.parse(await fsp.readFile(file, 'utf8'));
  } catch {
    throw new UserError(`${file} is not valid JSON; fetch it again`);
  }
}

/** The folder's weight files, in order. @throws UserError when there are none or the index names one that is missing */
async function weightFiles(folder: string): Promise<string[]> {
  const index = path.join(folder, 'model.safetensors.index.json');
  if (fs.existsSync(index)) {
    const parsed = z.looseObject({ weight_map: z.record(z.string(), z.string()) }).safeParse(await readJson(index));
    if (!parsed.success) throw new UserError(`${index} has no weight_map; fetch it again`);
    const names = [...new Set(Object.values(parsed.data.weight_map))].sort();
    if (names.some((name) => path.basename(name) !== name))
      throw new UserError(`${index} names a file outside its folder`);
    return names.map((name) => path.join(folder, name));
  }
  const single = path.join(folder, 'model.safetensors');
  if (!fs.existsSync(single))
    throw new UserError(`${folder} holds no model.safetensors and no model.safetensors.index.json`);
  return [single];
}

/** Opens a Hugging Face folder: config.json, safetensors (sharded too), tokenizer and template where they are. */
export async function openHuggingFaceFolder(folder: string): Promise<ModelFile> {
  const configPath = path.join(folder, 'config.json');
  if (!fs.existsSync(configPath))
    throw new UserError(`${folder} holds no config.json; give a Hugging Face model folder or a .gguf file`);
  const config = configFromHuggingFace(await readJson(configPath), configPath);
  const paths = await weightFiles(folder);
  const texts = await readTokenizer(folder, config.bosTokenId, config.eosTokenIds);
  const readers: FileReader[] = [];
  const close = async () => void (await Promise.all(readers.map((reader) => reader.close())));
  const entries = new Map<string, { reader: FileReader; entry: SafetensorsEntry }>();
  try {
    for (const file of paths) {
      const reader = await FileReader.open(file);
      readers.push(reader);
      for (const [name, entry] of (await readSafetensorsHeader(reader)).tensors)
        entries.set(canonicalName(name), { reader, entry });
    }
  } catch (error) {
    await close();
    throw error;
  }
  const find = (name: string) => {
    const found = entries.get(name);
    if (!found) throw new UserError(`${folder} holds no tensor "${name}"; is the model whole?`);
    return found;
  };
  return {
    path: folder,
    name: path.basename(path.resolve(folder)),
    format: 'huggingface',
    config: {
      ...config,
      eosTokenIds: texts?.tokenizer.eosTokenIds ?? config.eosTokenIds,
      tiedEmbeddings: !entries.has('lm_head.weight'),
    },
    tensors: [...entries].map(([name, { entry }]) => ({
      name,
      shape: entry.shape,
      type: entry.dtype.toLowerCase(),
      byteLength: entry.byteLength,
    })),
    ...texts,
    byteLength: readers.reduce((sum, reader) => sum + reader.byteLength, 0),
    sha256: async () => foldHashes(await Promise.all(paths.map(fileSha256))),
    readTensor: (name) => readFloats(find(name).reader, find(name).entry),
    place: (name) => ({ path: find(name).reader.path, offset: find(name).entry.offset }),
    readRaw: (name) => find(name).reader.read(find(name).entry.offset, find(name).entry.byteLength),
    close,
  };
}

/** gemma3 with vision keeps its text model under another prefix. */
const canonicalName = (name: string) =>
  name.replace(/^(model\.)?language_model\.(model\.)?/, 'model.').replace('model.lm_head', 'lm_head');

async function readTokenizer(folder: string, bosTokenId: number | undefined, eosTokenIds: number[]) {
  const read = await tokenizerOfFolder(folder, { bosTokenId, eosTokenIds });
  if (!read) return undefined;
  let tokenizer: Tokenizer;
  try {
    tokenizer = createTokenizer(read.description);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${path.join(folder, 'tokenizer.json')} is no tokenizer that can be read: ${error.message}`);
  }
  const template = await templateSource(folder, read.chatTemplate);
  const chat: ChatTemplate | undefined =
    template === undefined ? undefined : chatTemplate(template, { bos: read.bos, eos: read.eos }, folder);
  return { tokenizer, chatTemplate: chat };
}

async function templateSource(folder: string, inConfig: TokenizerConfig['chat_template']) {
  const file = path.join(folder, 'chat_template.jinja');
  if (fs.existsSync(file)) return fsp.readFile(file, 'utf8');
  if (Array.isArray(inConfig)) return (inConfig.find((t) => t.name === 'default') ?? inConfig[0])?.template;
  return inConfig ?? undefined;
}
