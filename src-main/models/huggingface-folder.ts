import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../engine/types.ts';
import { chatTemplate } from './chat-template.ts';
import { configFromHuggingFace } from './config-huggingface.ts';
import { nameOfFolder } from './default-model.ts';
import { endingTurns } from './end-of-turn.ts';
import { openFolderWeights } from './huggingface-weights.ts';
import { fileSha256, foldHashes } from './identity.ts';
import { languagesOfCard } from './languages.ts';
import { readJsonFile } from './json-file.ts';
import { refuseQuantized } from './quantized-folder.ts';
import { readFloats } from './safetensors.ts';
import { tokenizerOfFolder, type TokenizerConfig } from './tokenizer/folder-tokenizer.ts';
import { createTokenizer } from './tokenizer/tokenizer.ts';
import type { ModelFile, Tokenizer } from './types.ts';

const MAX_CONFIG_BYTES = 16 << 20;

const optionalJson = async (file: string) =>
  fs.existsSync(file) ? await readJsonFile(file, MAX_CONFIG_BYTES) : undefined;

/**
 * Opens a Hugging Face folder: config.json, safetensors (sharded too), tokenizer and template where they are.
 * @param partOf what of its config.json is the language model's
 */
export async function openHuggingFaceFolder(
  folder: string,
  partOf = (json: unknown): unknown => json,
): Promise<ModelFile> {
  const configPath = path.join(folder, 'config.json');
  if (!fs.existsSync(configPath)) throw new UserError(`${folder} holds no config.json; ${whatItIs(folder)}`);
  const json = await readJsonFile(configPath, MAX_CONFIG_BYTES);
  refuseQuantized(json, folder);
  const { config, tied } = configFromHuggingFace(partOf(json), configPath);
  config.eosTokenIds = [...new Set([...config.eosTokenIds, ...(await generationEnds(folder))])];
  const weights = await openFolderWeights(folder, config);
  const { entries, paths } = weights;
  try {
    tieHead(entries, tied);
    const headless = !tied && !entries.has('lm_head.weight') ? withoutHead(folder) : undefined;
    const texts = await readTexts(folder, config.bosTokenId, config.eosTokenIds);
    const find = (name: string) => {
      const found = entries.get(name);
      if (!found) throw new UserError(`${folder} holds no tensor "${name}"; is the model whole?`);
      return found;
    };
    return {
      makes: 'texts',
      path: folder,
      name: nameOfFolder(folder),
      format: 'huggingface',
      config: {
        ...config,
        eosTokenIds: texts?.tokenizer?.eosTokenIds ?? config.eosTokenIds,
        tiedEmbeddings: tied && !entries.has('lm_head.weight'),
      },
      tensors: [...entries].map(([name, { entry }]) => ({
        name,
        shape: entry.shape,
        type: entry.dtype.toLowerCase(),
        byteLength: entry.byteLength,
      })),
      ...texts,
      ...(headless && { warnings: [headless] }),
      languages: await languagesOfCard(folder),
      byteLength: weights.byteLength,
      sha256: async () => foldHashes(await Promise.all(paths.map(fileSha256))),
      readTensor: (name) => readFloats(find(name).reader, find(name).entry),
      place: (name) => ({ path: find(name).reader.path, offset: find(name).entry.offset }),
      readRaw: (name) => find(name).reader.read(find(name).entry.offset, find(name).entry.byteLength),
      close: weights.close,
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** What a folder without config.json may be. */
function whatItIs(folder: string): string {
  const names = fs.readdirSync(folder);
  if (names.includes('adapter_config.json') || names.includes('adapter.json'))
    return 'it is an adapter, to be opened on its base model';
  const gguf = names.find((name) => name.endsWith('.gguf'));
  return gguf ? `open its ${gguf} instead` : 'give a Hugging Face model folder or a .gguf file';
}

/** Tied, one of head and embedding is enough. */
function tieHead<T>(entries: Map<string, T>, tied: boolean): void {
  const [embedding, head] = [entries.get('model.embed_tokens.weight'), entries.get('lm_head.weight')];
  if (tied && !embedding && head) {
    entries.set('model.embed_tokens.weight', head);
    entries.delete('lm_head.weight');
  }
}

/** Its tokenizer serves; its weights don't, where transformers would make a head up. */
const withoutHead = (folder: string) =>
  `${folder} holds no lm_head.weight, and its config.json doesn't tie it to the embedding (tie_word_embeddings): it can't be run; is the model whole?`;

const generationSchema = z.looseObject({
  eos_token_id: z.union([z.number().int(), z.array(z.number().int()).max(1000)]).nullish(),
});

/** The tokens that end a text by generation_config.json, which has them all where config.json names one. */
async function generationEnds(folder: string): Promise<number[]> {
  const file = path.join(folder, 'generation_config.json');
  const parsed = generationSchema.safeParse((await optionalJson(file)) ?? {});
  if (!parsed.success) throw new UserError(`${file}: eos_token_id is no token id; fetch it again`);
  return [parsed.data.eos_token_id ?? []].flat();
}

/** A folder's tokenizer and chat template; undefined where it has no tokenizer.json. @throws UserError */
export async function readTexts(
  folder: string,
  bosTokenId: number | undefined,
  eosTokenIds: number[],
): Promise<Pick<ModelFile, 'tokenizer' | 'chatTemplate'> | undefined> {
  const read = await tokenizerOfFolder(folder, { bosTokenId, eosTokenIds });
  if (!read) return undefined;
  let tokenizer: Tokenizer;
  try {
    tokenizer = createTokenizer(read.description);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${path.join(folder, 'tokenizer.json')} is no tokenizer that can be read: ${error.message}`);
  }
  const { source, toolUse } = await templateSources(folder, read.chatTemplate);
  const chat = source === undefined ? undefined : chatTemplate(source, read.special, folder, toolUse);
  return { tokenizer: endingTurns(tokenizer, chat), chatTemplate: chat };
}

/** The model's template, and the one for conversations with tools where it has one: in files, else in tokenizer_config.json. */
export async function templateSources(
  folder: string,
  inConfig: TokenizerConfig['chat_template'],
): Promise<{ source?: string; toolUse?: string }> {
  const [file, toolFile] = ['chat_template.jinja', path.join('additional_chat_templates', 'tool_use.jinja')].map(
    (name) => path.join(folder, name),
  ) as [string, string];
  const text = (place: string) => (fs.existsSync(place) ? fsp.readFile(place, 'utf8') : undefined);
  const source = await text(file);
  if (source !== undefined) return { source, toolUse: await text(toolFile) };
  if (!Array.isArray(inConfig)) return { source: inConfig ?? undefined };
  const named = (name: string) => inConfig.find((template) => template.name === name)?.template;
  return { source: named('default') ?? inConfig[0]?.template, toolUse: named('tool_use') };
}
