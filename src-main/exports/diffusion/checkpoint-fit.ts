import { isDeepStrictEqual } from 'node:util';
import { UserError } from '../../engine/types.ts';
import type { DiffusionFile, UNetFile } from '../../models/diffusion/pipeline/file.ts';
import type { Header } from '../../models/diffusion/single/file.ts';
import { structureOf, tokenizerInFile } from '../../models/diffusion/single/open.ts';
import type { SingleStructure } from '../../models/diffusion/single/parts.ts';
import type { SafetensorsEntry } from '../../models/safetensors.ts';
import { checkpointShapes } from './merged-checkpoint.ts';

/** Texts whose tokens two tokenizers are compared by. */
const SAMPLE = 'A photo of 42 astronauts’ horses, "riding" on mars — naïve; <3 :-) Ünïcode 猫 🐈';

/**
 * A checkpoint in one file holds names, shapes and numbers: everything else its readers take to be as in Stable Diffusion 1, 2 or XL.
 * @throws UserError naming what a model has in another way, which would be read wrongly without a word
 */
export async function refuseUntold(base: DiffusionFile): Promise<void> {
  const refuse = (what: string) => new UserError(`${base.name} can't be written as one checkpoint file: ${what}. Take merged-diffusers, which keeps everything.`); // prettier-ignore
  if (base.kind === 'z-image')
    throw refuse('such a file is of Stable Diffusion 1, 2 and XL, and this is a Z-Image, whose parts programs read from several files'); // prettier-ignore
  if (isCheckpoint(base)) return;
  const header: Header = new Map(checkpointShapes(base).map(({ name, shape }) => [name, { name, shape } as SafetensorsEntry])); // prettier-ignore
  const read = structureOf(header, base.path);
  const [own, told] = [compared(base), compared(read)];
  const other = Object.keys(own).find((name) => !isDeepStrictEqual(own[name], told[name]));
  if (other !== undefined)
    throw refuse(
      `it doesn't say ${other}, which is ${said(own[other])} here and would be read as ${said(told[other])}`,
    );
  checkNoise(base, refuse);
  for (const text of base.texts) {
    const standard = await tokenizerInFile(base.kind, text);
    const [mine, theirs] = [text.tokenizer, standard].map((each) => [each.tokenizer.vocabularySize, ...each.encode(SAMPLE).ids]); // prettier-ignore
    if (!isDeepStrictEqual(mine, theirs))
      throw refuse("it holds no tokenizer, and the model's own is another than CLIP's");
  }
}

/** Whether a model was opened from such a file, which can be written again as it is. */
export const isCheckpoint = ({ path }: Pick<DiffusionFile, 'path'>): boolean => /\.safetensors$/i.test(path);

/** What a structure is told by, under names for people. */
function compared({ kind, unet, vae, texts }: SingleStructure): Record<string, unknown> {
  // What no attention is there for says nothing, nor does the size that is painted where none is asked for.
  const level = ({ heads, depth, ...rest }: { heads: number; depth: number }) => ({ ...rest, depth, heads: depth > 0 ? heads : 0 }); // prettier-ignore
  const { down, middle, up } = unet;
  const network = { ...unet, down: down.map(level), middle: level(middle), up: up.map(level), sampleSize: undefined };
  const flat = (group: string, of: object) => Object.entries(of).map(([name, value]) => [`"${name}" of the ${group}`, value] as const); // prettier-ignore
  return Object.fromEntries([
    ['the kind of model', kind],
    ...flat('UNet', network),
    ...flat('autoencoder', vae),
    // With CLIP's own words the last one is known.
    ...texts.flatMap(({ group, config }) => flat(group === 'text' ? 'text encoder' : 'second text encoder', { ...config, endToken: undefined })), // prettier-ignore
  ]);
}

function checkNoise({ noise }: UNetFile, refuse: (what: string) => UserError): void {
  const standard = { form: 'scaled_linear', start: 0.00085, end: 0.012 };
  if (noise.kind !== 'variance' || noise.trainSteps !== 1000 || !isDeepStrictEqual(noise.betas, standard))
    throw refuse('it says nothing of the noise, and the model was trained on another kind than Stable Diffusion');
}

const said = (value: unknown) => (value === undefined ? 'nothing' : JSON.stringify(value));
