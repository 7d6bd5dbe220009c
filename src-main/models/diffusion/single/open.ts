import path from 'node:path';
import { UserError } from '../../../engine/types.ts';
import { fileSha256 } from '../../identity.ts';
import { noiseConfig } from '../noise/config.ts';
import type { PartName, UNetFile } from '../pipeline/file.ts';
import { shapesOf } from '../loader.ts';
import { checkFit } from '../pipeline/fit.ts';
import type { DiffusionSource } from '../source.ts';
import type { TextConfig } from '../text/config.ts';
import { ClipTokenizer } from '../text/tokenizer.ts';
import { loadTextEncoder } from '../text/weights.ts';
import { unetLayout } from '../unet/layout.ts';
import { loadUNet } from '../unet/weights.ts';
import { loadVae } from '../vae/vae.ts';
import { openInFile, readHeader, type Header } from './file.ts';
import { isOpenClip, partInFile, PREFIXES, type SingleStructure } from './parts.ts';
import { clipOfShapes, openClipOfShapes, Shapes, unetOfShapes, vaeOfShapes } from './shapes.ts';

interface SingleOptions {
  /** what the network says; a file tells it seldom. Default: v for Stable Diffusion 2, epsilon for the others */
  prediction?: Prediction;
}

type Prediction = 'epsilon' | 'v_prediction';
/** Tensors that say of a network what its names and shapes don't, as ComfyUI and Forge know them. */
export const V_MARK = 'v_pred';
export const ZERO_TERMINAL_MARK = 'ztsnr';
/** The header's word for it (modelspec): `v` or `epsilon`. */
export const PREDICTION_METADATA = 'modelspec.prediction_type';

/**
 * Opens a checkpoint in one file, under the names that Stable Diffusion's makers gave: 1, 2 or XL with all parts. What its shapes don't
 * tell is as these models have it.
 * @throws UserError naming what is missing
 */
export async function openSingleFile(file: string, { prediction }: SingleOptions = {}): Promise<UNetFile> {
  const { tensors: header, metadata } = await readHeader(file);
  if (header.has('edm_mean'))
    throw new UserError(`${file} says "edm_mean": latents that are moved by channel are not supported`);
  const structure = structureOf(header, file);
  const { kind, unet, vae, texts } = structure;
  const source = async (part: PartName): Promise<DiffusionSource> => {
    const { prefix, placeOf } = partInFile(part, structure);
    const names = await namesOf(part, structure);
    const text = texts.find(({ group }) => group === part);
    return openInFile(file, names, placeOf, prefix, text ? isUnusedInText(text.config) : part === 'vae' ? isUnusedInVae : () => false); // prettier-ignore
  };
  const isV = (prediction ?? predictionOf(header, metadata, isOpenClip(kind, texts[0]!))) === 'v_prediction';
  const found = {
    ...({ path: file, name: path.basename(file).replace(/\.safetensors$/, ''), kind, unet, vae, source } as const),
    texts: await Promise.all(texts.map(async (text) => ({ ...text, tokenizer: await tokenizerInFile(kind, text) }))),
    noise: noiseConfig(
      {
        ...{ _class_name: 'DDIMScheduler', beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 },
        ...{ clip_sample: false, set_alpha_to_one: false, steps_offset: 1 },
        prediction_type: isV ? 'v_prediction' : 'epsilon',
        rescale_betas_zero_snr: header.has(ZERO_TERMINAL_MARK),
      },
      file,
    ),
    isEmptyZero: kind === 'sdxl',
  };
  checkFit(found);
  const tensors: UNetFile['tensors'] = {};
  let byteLength = 0;
  for (const part of ['unet', 'vae', ...texts.map(({ group }) => group)] as const) {
    const opened = await source(part);
    tensors[part] = opened.infos;
    byteLength = opened.byteLength;
    await opened.close();
  }
  return { ...found, tensors, byteLength, sha256: () => fileSha256(file) };
}

/** CLIP's own tokenizer, as such a file's text encoder is given it. */
export const tokenizerInFile = (
  kind: UNetFile['kind'],
  text: SingleStructure['texts'][number],
): Promise<ClipTokenizer> =>
  ClipTokenizer.standard(text.config.positions, isOpenClip(kind, text) ? '!' : '<|endoftext|>');

/** What tensors a part has, by their names in diffusers. */
export async function namesOf(part: PartName, { unet, vae, texts }: SingleStructure): Promise<string[]> {
  const tensors = await shapesOf((loader) => {
    if (part === 'unet') return loadUNet(unet, unetLayout(unet), loader);
    if (part === 'vae') return loadVae(vae, loader);
    const { config, group } = texts.find((text) => text.group === part)!;
    return loadTextEncoder(config, group, loader);
  });
  return [...tensors.keys()];
}

/** A marker that other programs know, else what the header says in words, else what such models mostly are. */
function predictionOf(header: Header, metadata: Record<string, string>, isSecond: boolean): Prediction {
  const told = metadata[PREDICTION_METADATA];
  if (header.has(V_MARK) || told === 'v') return 'v_prediction';
  return isSecond && told !== 'epsilon' ? 'v_prediction' : 'epsilon';
}

/** What a file is by its shapes. @throws UserError where it is no whole model that is known */
export function structureOf(header: Header, file: string): SingleStructure {
  const texts = textsOf(header, file);
  const kind = texts.length > 1 ? 'sdxl' : 'sd';
  const unet = unetOfShapes(new Shapes(header, file, PREFIXES.UNET), texts.at(-1)!.config.projectionSize);
  return { kind, unet, vae: vaeOfShapes(new Shapes(header, file, PREFIXES.VAE), kind), texts };
}

/** Which text encoders a file has. @throws UserError where it has none that is known */
function textsOf(header: Header, file: string): SingleStructure['texts'] {
  const { CLIP, OPEN_CLIP, XL_CLIP, XL_OPEN_CLIP, UNET } = PREFIXES;
  const shapes = (prefix: string) => new Shapes(header, file, prefix);
  const clip = (prefix: string) => ({ group: 'text' as const, config: clipOfShapes(shapes(prefix)) });
  if (shapes(XL_OPEN_CLIP).has('token_embedding.weight'))
    return [clip(XL_CLIP), { group: 'text_2', config: openClipOfShapes(shapes(XL_OPEN_CLIP), 'sdxl') }];
  if (shapes(OPEN_CLIP).has('token_embedding.weight'))
    return [{ group: 'text', config: openClipOfShapes(shapes(OPEN_CLIP), 'sd') }];
  if (shapes(CLIP).has('text_model.embeddings.token_embedding.weight')) return [clip(CLIP)];
  const what = [...header.keys()].some((name) => name.startsWith(UNET))
    ? 'has no text encoder of Stable Diffusion 1, 2 or XL'
    : 'is no whole model of Stable Diffusion 1, 2 or XL';
  throw new UserError(`${file} ${what}; is it a LoRA, a part of a model, or one of another kind?`);
}

/** What training alone used. */
const isUnusedInVae = (name: string) => name.startsWith('loss.') || name.startsWith('model_ema.');

/** Positions that are counted, what compares texts with pictures, and the layers that aren't run. */
const isUnusedInText =
  ({ layers, projectionSize }: TextConfig) =>
  (name: string) =>
    name.endsWith('position_ids') ||
    name === 'logit_scale' ||
    (projectionSize === undefined && name.startsWith('text_projection')) ||
    Number(/^transformer\.resblocks\.(\d+)\./.exec(name)?.[1] ?? -1) >= layers;
