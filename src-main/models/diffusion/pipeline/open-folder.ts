import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import { fileSha256, foldHashes } from '../../identity.ts';
import { canonicalName } from '../../huggingface-weights.ts';
import { configFromHuggingFace } from '../../config-huggingface.ts';
import { nameOfFolder } from '../../default-model.ts';
import { openHuggingFaceFolder } from '../../huggingface-folder.ts';
import { readJsonFile } from '../../json-file.ts';
import { notSupported } from '../config-file.ts';
import { flowTransformerConfig } from '../flow/config.ts';
import { PromptTokenizer } from '../flow/prompt.ts';
import type { PromptPart } from '../flow/texts.ts';
import { readNoiseConfig } from '../noise/config.ts';
import { openPart, type DiffusionSource } from '../source.ts';
import { textConfig } from '../text/config.ts';
import { ClipTokenizer } from '../text/tokenizer.ts';
import { textName } from '../text/weights.ts';
import { unetConfig } from '../unet/config.ts';
import { vaeConfig } from '../vae/config.ts';
import { vaeName } from '../vae/vae.ts';
import { checkFit } from './fit.ts';
import type { DiffusionFile, PartName, TextPart, UNetFile } from './file.ts';

export const MOST_CONFIG_BYTES = 16 << 20;
/** Names the parts of a model that diffusers has saved. */
export const MODEL_INDEX = 'model_index.json';

const KINDS: Record<string, DiffusionFile['kind']> = {
  ...{ StableDiffusionPipeline: 'sd', StableDiffusionXLPipeline: 'sdxl', ZImagePipeline: 'z-image' },
};
const CLIP_TOKENIZERS = ['CLIPTokenizer', 'CLIPTokenizerFast'];
/** Which class each part has to be of. What only guards or judges pictures is left out. */
const CLASSES: Record<DiffusionFile['kind'], Record<string, string[]>> = {
  sd: {
    ...{ unet: ['UNet2DConditionModel'], vae: ['AutoencoderKL'], text_encoder: ['CLIPTextModel'] },
    tokenizer: CLIP_TOKENIZERS,
  },
  sdxl: {
    ...{ unet: ['UNet2DConditionModel'], vae: ['AutoencoderKL'], text_encoder: ['CLIPTextModel'] },
    ...{ text_encoder_2: ['CLIPTextModelWithProjection'], tokenizer: CLIP_TOKENIZERS, tokenizer_2: CLIP_TOKENIZERS },
  },
  'z-image': {
    ...{ transformer: ['ZImageTransformer2DModel'], vae: ['AutoencoderKL'] },
    text_encoder: ['Qwen3Model', 'Qwen3ForCausalLM'],
    // Whatever the class, tokenizer.json is what counts.
    tokenizer: ['Qwen2Tokenizer', 'Qwen2TokenizerFast', 'TokenizersBackend', 'PreTrainedTokenizerFast'],
  },
};
const PARTS_OF: Record<DiffusionFile['kind'], PartName[]> = {
  ...{ sd: ['unet', 'vae', 'text'], sdxl: ['unet', 'vae', 'text', 'text_2'] },
  'z-image': ['transformer', 'vae', 'text'],
};
const SUBFOLDERS: Record<PartName, string> = {
  ...{ unet: 'unet', transformer: 'transformer', vae: 'vae', text: 'text_encoder', text_2: 'text_encoder_2' },
};
const ITSELF = (name: string) => name;

const indexSchema = z.looseObject({ _class_name: z.string(), force_zeros_for_empty_prompt: z.boolean().optional() });

/** Whether a folder is a diffusion model as diffusers saves it. */
export const isDiffusionFolder = (folder: string): boolean => fs.existsSync(path.join(folder, MODEL_INDEX));

/** Opens a folder with model_index.json. @throws UserError naming file and field, or the part that is of another kind */
export async function openDiffusionFolder(folder: string): Promise<DiffusionFile> {
  const file = path.join(folder, MODEL_INDEX);
  const index = indexSchema.safeParse(await readJsonFile(file, MOST_CONFIG_BYTES));
  if (!index.success) throw new UserError(`${file} doesn't say "_class_name", which kind of model it is; fetch it again`); // prettier-ignore
  const kind = KINDS[index.data._class_name];
  if (!kind) throw notSupported(file, '_class_name', index.data._class_name, Object.keys(KINDS));
  checkClasses(index.data, CLASSES[kind], file);
  const folderOf: Folder = {
    path: folder,
    config: async (part, read) => {
      const place = path.join(folder, SUBFOLDERS[part], 'config.json');
      return read(await readJsonFile(place, MOST_CONFIG_BYTES), place);
    },
    // prettier-ignore
    source: (part) => openPart(path.join(folder, SUBFOLDERS[part]), part === 'vae' ? vaeName : !part.startsWith('text') ? ITSELF : kind === 'z-image' ? canonicalName : textName),
  };
  const { source } = folderOf;
  const shared = {
    ...{ path: folder, name: nameOfFolder(folder), source },
    vae: await folderOf.config('vae', vaeConfig),
    noise: await readNoiseConfig(path.join(folder, 'scheduler', 'scheduler_config.json')),
  };
  const isEmptyZero = index.data.force_zeros_for_empty_prompt ?? false;
  const found =
    kind === 'z-image'
      ? { ...shared, kind, ...(await flowParts(folderOf)) }
      : { ...shared, kind, ...(await unetParts(folderOf, kind)), isEmptyZero };
  checkFit(found);
  const { files, ...headers } = await readHeaders(PARTS_OF[kind], source);
  return { ...found, ...headers, sha256: async () => foldHashes(await Promise.all(files.map(fileSha256))) };
}

/** A pipeline's folder, for what reads its parts. */
interface Folder {
  path: string;
  config<T>(part: PartName, read: (json: unknown, file: string) => T): Promise<T>;
  source(part: PartName): Promise<DiffusionSource>;
}

async function unetParts({ path: folder, config }: Folder, kind: UNetFile['kind']) {
  const texts: TextPart[] = [];
  for (const group of kind === 'sdxl' ? (['text', 'text_2'] as const) : (['text'] as const)) {
    const own = await config(group, textConfig);
    const tokenizer = path.join(folder, group === 'text' ? 'tokenizer' : 'tokenizer_2');
    texts.push({ group, config: own, tokenizer: await ClipTokenizer.open(tokenizer, own.positions) });
  }
  return { texts, unet: await config('unet', unetConfig) };
}

async function flowParts({ path: folder, config }: Folder) {
  const place = path.join(folder, SUBFOLDERS.text);
  const read = await config('text', (json, file) => ({ own: configFromHuggingFace(json, file).config, file }));
  if (read.own.architecture !== 'qwen3') throw notSupported(read.file, 'model_type', read.own.architecture, ['qwen3']);
  const prompt: PromptPart = {
    config: read.own,
    tokenizer: await PromptTokenizer.open(path.join(folder, 'tokenizer')),
    open: () => openHuggingFaceFolder(place),
  };
  return { prompt, transformer: await config('transformer', flowTransformerConfig) };
}

function checkClasses(index: Record<string, unknown>, classes: Record<string, string[]>, file: string): void {
  for (const [name, allowed] of Object.entries(classes)) {
    const [, type] = Array.isArray(index[name]) ? (index[name] as unknown[]) : [];
    if (!allowed.includes(String(type))) throw notSupported(file, name, index[name] ?? null, allowed);
  }
}

/** What a model's parts hold. */
export async function readHeaders(
  parts: PartName[],
  source: (part: PartName) => Promise<DiffusionSource>,
): Promise<Pick<DiffusionFile, 'tensors' | 'byteLength'> & { files: string[] }> {
  const tensors: DiffusionFile['tensors'] = {};
  const files = new Map<string, number>();
  for (const part of parts) {
    const opened = await source(part);
    tensors[part] = opened.infos;
    files.set(opened.files.join('\n'), opened.byteLength);
    await opened.close();
  }
  const paths = [...new Set([...files.keys()].flatMap((names) => names.split('\n')))];
  return { tensors, files: paths, byteLength: [...files.values()].reduce((sum, bytes) => sum + bytes, 0) };
}
