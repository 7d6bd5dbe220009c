import { UserError } from '../../../engine/types.ts';
import type { FlowFile, UNetFile } from './file.ts';

/** Original size, crop and target size. */
export const SIZES_BESIDE_TEXT = 6;

type Fitting = Pick<UNetFile, 'path' | 'kind' | 'texts' | 'unet' | 'vae'> | Pick<FlowFile, 'path' | 'kind' | 'prompt' | 'transformer' | 'vae' | 'noise'>; // prettier-ignore

/** @throws UserError where a model's parts were not made for each other */
export function checkFit(file: Fitting): void {
  const fail = (what: string) => new UserError(`${file.path}: ${what}; do its parts belong to one model?`);
  if (file.kind === 'z-image') checkFlow(file, fail);
  else checkUNet(file, fail);
}

type Fail = (what: string) => UserError;

function checkFlow({ prompt, transformer, vae, noise }: Extract<Fitting, { kind: 'z-image' }>, fail: Fail): void {
  const { hiddenSize, layers } = prompt.config;
  if (hiddenSize !== transformer.contextWidth)
    throw fail(`its texts have ${hiddenSize} features a token, and its transformer takes ${transformer.contextWidth}`);
  if (layers < 2) throw fail('its text encoder has one layer, and what is taken lies before the last');
  if (vae.latentChannels !== transformer.channels)
    throw fail(`latents have ${vae.latentChannels} channels, and its transformer takes ${transformer.channels}`);
  if (noise.kind !== 'flow') throw fail('its scheduler is none of a flow, and its transformer is one of a flow');
}

function checkUNet({ kind, texts, unet, vae }: Exclude<Fitting, { kind: 'z-image' }>, fail: Fail): void {
  const width = texts.reduce((sum, { config }) => sum + config.hiddenSize, 0);
  if (width !== unet.contextWidth)
    throw fail(`its texts have ${width} features a token, and its UNet takes ${unet.contextWidth}`);
  const lengths = new Set(texts.map(({ tokenizer }) => tokenizer.length));
  if (lengths.size > 1) throw fail(`its text encoders take texts of ${[...lengths].join(' and ')} tokens`);
  if (vae.latentChannels !== unet.inChannels)
    throw fail(
      `latents have ${vae.latentChannels} channels, and its UNet takes ${unet.inChannels} (one for inpainting has more, and is not supported)`,
    );
  if (unet.outChannels !== unet.inChannels)
    throw fail(`its UNet takes ${unet.inChannels} channels and gives ${unet.outChannels}`);
  const pooled = texts.at(-1)!.config.projectionSize;
  if ((kind === 'sdxl') !== (unet.added !== undefined))
    throw fail(`"addition_embed_type" of its UNet doesn't fit ${kind === 'sdxl' ? 'two text encoders' : 'one text encoder'}`); // prettier-ignore
  if (!unet.added) return;
  const given = (pooled ?? 0) + SIZES_BESIDE_TEXT * unet.added.timeWidth;
  if (pooled === undefined || given !== unet.added.inFeatures)
    throw fail(`a text and its sizes have ${given} features, and its UNet takes ${unet.added.inFeatures}`);
}
