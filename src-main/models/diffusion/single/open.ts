import path from 'node:path';
import { UserError } from '../../../engine/types.ts';
import { fileSha256 } from '../../identity.ts';
import { noiseConfig } from '../noise/config.ts';
import type { PartName, TextPart, UNetFile } from '../pipeline/file.ts';
import { shapesOf } from '../loader.ts';
import { checkFit } from '../pipeline/fit.ts';
import type { DiffusionSource } from '../source.ts';
import type { TextConfig } from '../text/config.ts';
import { ClipTokenizer } from '../text/tokenizer.ts';
import { loadTextEncoder } from '../text/weights.ts';
import { unetLayout } from '../unet/layout.ts';
import { loadUNet } from '../unet/weights.ts';
import { loadVae } from '../vae/vae.ts';
import { openInFile, readHeader, type Header, type PlaceInFile } from './file.ts';
import { openClipNames, unetNames, vaeNames } from './names.ts';
import { clipOfShapes, openClipOfShapes, Shapes, unetOfShapes, vaeOfShapes } from './shapes.ts';

const UNET = 'model.diffusion_model.';
const VAE = 'first_stage_model.';
const CLIP = 'cond_stage_model.transformer.';
const OPEN_CLIP = 'cond_stage_model.model.';
const XL_CLIP = 'conditioner.embedders.0.transformer.';
const XL_OPEN_CLIP = 'conditioner.embedders.1.model.';

/** A text encoder of a file: where it begins, and as which of the two kinds it is written. */
interface TextInFile {
  group: TextPart['group'];
  prefix: string;
  isOpen: boolean;
  config: TextConfig;
}

interface SingleOptions {
  /** what the network says; a file tells it seldom. Default: v for Stable Diffusion 2, epsilon for the others */
  prediction?: 'epsilon' | 'v_prediction';
}

/**
 * Opens a checkpoint in one file, under the names that Stable Diffusion's makers gave: 1, 2 or XL with all parts. What its shapes don't
 * tell is as these models have it.
 * @throws UserError naming what is missing
 */
export async function openSingleFile(file: string, { prediction }: SingleOptions = {}): Promise<UNetFile> {
  const header = await readHeader(file);
  const texts = textsOf(header, file);
  const kind = texts.length > 1 ? 'sdxl' : 'sd';
  if (header.has('edm_mean'))
    throw new UserError(`${file} says "edm_mean": latents that are moved by channel are not supported`);
  const unet = unetOfShapes(new Shapes(header, file, UNET), texts.at(-1)!.config.projectionSize);
  const vae = vaeOfShapes(new Shapes(header, file, VAE), kind);
  const layout = unetLayout(unet);

  const source = async (part: PartName): Promise<DiffusionSource> => {
    if (part === 'unet') {
      const nameOf = unetNames(layout);
      const tensors = await shapesOf((loader) => loadUNet(unet, layout, loader));
      return openInFile(
        file,
        [...tensors.keys()],
        (name) => ({ name: nameOf(name) }),
        UNET,
        () => false,
      );
    }
    if (part === 'vae') {
      const nameOf = vaeNames(vae.channels.length);
      const tensors = await shapesOf((loader) => loadVae(vae, loader));
      return openInFile(file, [...tensors.keys()], (name) => ({ name: nameOf(name) }), VAE, isUnusedInVae);
    }
    const own = texts.find(({ group }) => group === part);
    if (!own) throw new Error(`a model of the kind ${kind} has no ${part}`);
    const placeOf = own.isOpen ? openClipNames : (name: string): PlaceInFile => ({ name });
    const tensors = await shapesOf((loader) => loadTextEncoder(own.config, own.group, loader));
    return openInFile(file, [...tensors.keys()], placeOf, own.prefix, isUnusedInText(own.config));
  };
  const isSecond = texts[0]!.isOpen;
  const isV = (prediction ?? (header.has('v_pred') || isSecond ? 'v_prediction' : 'epsilon')) === 'v_prediction';
  const found = {
    ...({ path: file, name: path.basename(file).replace(/\.safetensors$/, ''), kind, unet, vae, source } as const),
    texts: await Promise.all(
      texts.map(async ({ group, config, isOpen }) => {
        const tokenizer = await ClipTokenizer.standard(config.positions, isOpen ? '!' : '<|endoftext|>');
        return { group, config, tokenizer };
      }),
    ),
    noise: noiseConfig(
      {
        ...{ _class_name: 'DDIMScheduler', beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 },
        ...{ clip_sample: false, set_alpha_to_one: false, steps_offset: 1 },
        prediction_type: isV ? 'v_prediction' : 'epsilon',
        rescale_betas_zero_snr: header.has('ztsnr'),
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

/** Which text encoders a file has. @throws UserError where it has none that is known */
function textsOf(header: Header, file: string): TextInFile[] {
  const shapes = (prefix: string) => new Shapes(header, file, prefix);
  const clip = (prefix: string): TextInFile => ({ group: 'text', prefix, isOpen: false, config: clipOfShapes(shapes(prefix)) }); // prettier-ignore
  const open = (group: TextPart['group'], prefix: string, kind: 'sd' | 'sdxl'): TextInFile => ({
    ...{ group, prefix, isOpen: true, config: openClipOfShapes(shapes(prefix), kind) },
  });
  if (shapes(XL_OPEN_CLIP).has('token_embedding.weight')) return [clip(XL_CLIP), open('text_2', XL_OPEN_CLIP, 'sdxl')];
  if (shapes(OPEN_CLIP).has('token_embedding.weight')) return [open('text', OPEN_CLIP, 'sd')];
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
