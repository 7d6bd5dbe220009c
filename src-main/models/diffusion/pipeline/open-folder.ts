import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import { fileSha256, foldHashes } from '../../identity.ts';
import { readJsonFile } from '../../json-file.ts';
import { notSupported } from '../config-file.ts';
import { readNoiseConfig } from '../noise/config.ts';
import { openPart, type DiffusionSource } from '../source.ts';
import { textConfig } from '../text/config.ts';
import { ClipTokenizer } from '../text/tokenizer.ts';
import { textName } from '../text/weights.ts';
import { unetConfig } from '../unet/config.ts';
import { vaeConfig } from '../vae/config.ts';
import { vaeName } from '../vae/vae.ts';
import { checkFit } from './fit.ts';
import type { DiffusionFile, PartName, TextPart } from './file.ts';

const MOST_CONFIG_BYTES = 16 << 20;
const INDEX = 'model_index.json';

const KINDS: Record<string, DiffusionFile['kind']> = {
  ...{ StableDiffusionPipeline: 'sd', StableDiffusionXLPipeline: 'sdxl' },
};
/** Which class each part has to be of. What only guards or judges pictures is left out. */
const CLASSES: Record<string, string[]> = {
  ...{ unet: ['UNet2DConditionModel'], vae: ['AutoencoderKL'], text_encoder: ['CLIPTextModel'] },
  text_encoder_2: ['CLIPTextModelWithProjection'],
  ...{ tokenizer: ['CLIPTokenizer', 'CLIPTokenizerFast'], tokenizer_2: ['CLIPTokenizer', 'CLIPTokenizerFast'] },
};
const SUBFOLDERS: Record<PartName, string> = { unet: 'unet', vae: 'vae', text: 'text_encoder', text_2: 'text_encoder_2' }; // prettier-ignore
const NAMES: Record<PartName, (name: string) => string | undefined> = {
  ...{ unet: (name) => name, vae: vaeName, text: textName, text_2: textName },
};

const indexSchema = z.looseObject({ _class_name: z.string(), force_zeros_for_empty_prompt: z.boolean().optional() });

/** Whether a folder is a diffusion model as diffusers saves it. */
export const isDiffusionFolder = (folder: string): boolean => fs.existsSync(path.join(folder, INDEX));

/** Opens a folder with model_index.json. @throws UserError naming file and field, or the part that is of another kind */
export async function openDiffusionFolder(folder: string): Promise<DiffusionFile> {
  const file = path.join(folder, INDEX);
  const index = indexSchema.safeParse(await readJsonFile(file, MOST_CONFIG_BYTES));
  if (!index.success) throw new UserError(`${file} doesn't say "_class_name", which kind of model it is; fetch it again`); // prettier-ignore
  const kind = KINDS[index.data._class_name];
  if (!kind) throw notSupported(file, '_class_name', index.data._class_name, Object.keys(KINDS));
  const parts: PartName[] = ['unet', 'vae', 'text', ...(kind === 'sdxl' ? (['text_2'] as const) : [])];
  checkClasses(index.data, parts, file);

  const config = async <T>(part: PartName, read: (json: unknown, file: string) => T): Promise<T> => {
    const place = path.join(folder, SUBFOLDERS[part], 'config.json');
    return read(await readJsonFile(place, MOST_CONFIG_BYTES), place);
  };
  const source = (part: PartName) => openPart(path.join(folder, SUBFOLDERS[part]), NAMES[part]);
  const texts: TextPart[] = [];
  for (const group of parts.filter((part) => part === 'text' || part === 'text_2')) {
    const own = await config(group, textConfig);
    const tokenizer = path.join(folder, group === 'text' ? 'tokenizer' : 'tokenizer_2');
    texts.push({ group, config: own, tokenizer: await ClipTokenizer.open(tokenizer, own.positions) });
  }
  const found = {
    ...{ path: folder, name: path.basename(path.resolve(folder)), kind, texts, source },
    unet: await config('unet', unetConfig),
    vae: await config('vae', vaeConfig),
    noise: await readNoiseConfig(path.join(folder, 'scheduler', 'scheduler_config.json')),
    isEmptyZero: index.data.force_zeros_for_empty_prompt ?? false,
  };
  checkFit(found);
  const { files, ...headers } = await readHeaders(parts, source);
  return { ...found, ...headers, sha256: async () => foldHashes(await Promise.all(files.map(fileSha256))) };
}

function checkClasses(index: Record<string, unknown>, parts: PartName[], file: string): void {
  const folders = parts.map((part) => SUBFOLDERS[part]);
  for (const name of [
    ...folders,
    ...folders.filter((one) => one.startsWith('text')).map((one) => one.replace('text_encoder', 'tokenizer')),
  ]) {
    // prettier-ignore
    const [, type] = Array.isArray(index[name]) ? (index[name] as unknown[]) : [];
    if (!CLASSES[name]!.includes(String(type))) throw notSupported(file, name, index[name] ?? null, CLASSES[name]);
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
