import type { PictureModel } from '../../../src-preload/contract/index.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import type { AnyModelFile } from '../../models/open.ts';
import type { ModelFile, TensorInfo } from '../../models/types.ts';
import type { ModelSummary } from './types.ts';

/** What a base model's card says of it. */
export function summaryOf(file: AnyModelFile): ModelSummary {
  const { name, byteLength: bytes, warnings } = file;
  return { name, bytes, warnings, ...(file.makes === 'texts' ? ofTexts(file) : ofPictures(file)) };
}

type OwnFacts = Omit<ModelSummary, 'name' | 'bytes' | 'warnings'>;

function ofTexts({ config, tensors, format, tokenizer, languages }: ModelFile): OwnFacts {
  const { architecture, layers, hiddenSize, contextLength, vocabularySize } = config;
  const parameters = numbersIn(tensors);
  return {
    ...{ format: format === 'gguf' ? 'GGUF' : 'Hugging Face', parameters, languages },
    shape: { architecture, layers, hiddenSize, contextLength, vocabularySize, parameters },
    hasTokenizer: tokenizer !== undefined,
  };
}

function ofPictures({ diffusion, format }: DiffusionModelFile): OwnFacts {
  const { vae, tensors } = diffusion;
  const parameters = numbersIn(Object.values(tensors).flat());
  const latents = 'unet' in diffusion ? (diffusion.unet.sampleSize ?? USUAL_LATENTS) : FLOW_LATENTS;
  const side = latents * 2 ** (vae.channels.length - 1);
  return {
    ...{ format: format === 'diffusers' ? 'diffusers folder' : 'checkpoint in one file', parameters },
    pictures: { family: familyOf(diffusion), parameters, side },
  };
}

/** Of a model that doesn't say for which size of latents it was made. */
const USUAL_LATENTS = 64;
/** Flows learned from pictures of 1024 pixels a side, and their files don't say. */
const FLOW_LATENTS = 128;
/** Families by the width of the text that tells them what to paint. */
const BY_CONTEXT: Record<string, string> = {
  ...{ 'sd 768': 'Stable Diffusion 1', 'sd 1024': 'Stable Diffusion 2', 'sdxl 2048': 'Stable Diffusion XL' },
};
const KINDS: Record<string, string> = { sd: 'Stable Diffusion', sdxl: 'Stable Diffusion XL', 'z-image': 'Z-Image' };

/** A family of pictures by what its file says of its parts. */
function familyOf(file: DiffusionModelFile['diffusion']): PictureModel['family'] {
  const kind = KINDS[file.kind] ?? file.kind;
  if (!('unet' in file)) return kind;
  return BY_CONTEXT[`${file.kind} ${file.unet.contextWidth}`] ?? `built like ${kind}`;
}

const numbersIn = (tensors: TensorInfo[]) =>
  tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
