import type { PartName, TextPart, UNetFile } from '../pipeline/file.ts';
import { unetLayout } from '../unet/layout.ts';
import type { PlaceInFile } from './file.ts';
import { openClipNames, unetNames, vaeNames } from './names.ts';

const UNET = 'model.diffusion_model.';
const VAE = 'first_stage_model.';
const CLIP = 'cond_stage_model.transformer.';
const OPEN_CLIP = 'cond_stage_model.model.';
const XL_CLIP = 'conditioner.embedders.0.transformer.';
const XL_OPEN_CLIP = 'conditioner.embedders.1.model.';

/** What a single file's parts begin with. */
export const PREFIXES = { UNET, VAE, CLIP, OPEN_CLIP, XL_CLIP, XL_OPEN_CLIP };

/** A part of a single file: what its tensors' names begin with there, and where each lies behind that, by its name in diffusers. */
export interface PartInFile {
  prefix: string;
  placeOf: (name: string) => PlaceInFile;
}

/** The structure that a single file's names follow from. */
export interface SingleStructure extends Pick<UNetFile, 'kind' | 'unet' | 'vae'> {
  texts: Pick<TextPart, 'group' | 'config'>[];
}

/** Whether a text encoder is OpenCLIP's, which has names of its own: Stable Diffusion 2's, and the second of XL. */
export const isOpenClip = (kind: UNetFile['kind'], { group, config }: Pick<TextPart, 'group' | 'config'>): boolean =>
  group === 'text_2' || (kind === 'sd' && config.activation !== 'quick_gelu');

/** Where a part's tensors lie in a single file; of reading and writing alike. */
export function partInFile(part: PartName, { kind, unet, vae, texts }: SingleStructure): PartInFile {
  const plain = (prefix: string, nameOf: (name: string) => string): PartInFile => ({
    prefix,
    placeOf: (name) => ({ name: nameOf(name) }),
  });
  if (part === 'unet') return plain(UNET, unetNames(unetLayout(unet)));
  if (part === 'vae') return plain(VAE, vaeNames(vae.channels.length));
  const own = texts.find(({ group }) => group === part);
  if (!own) throw new Error(`a model of the kind ${kind} has no ${part}`);
  if (isOpenClip(kind, own)) return { prefix: kind === 'sd' ? OPEN_CLIP : XL_OPEN_CLIP, placeOf: openClipNames };
  return plain(kind === 'sd' ? CLIP : XL_CLIP, (name) => name);
}
