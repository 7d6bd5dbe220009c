import { isDeepStrictEqual } from 'node:util';
import { UserError } from '../../engine/types.ts';
import type { DiffusionFile, UNetFile } from '../../models/diffusion/pipeline/file.ts';
import type { Header } from '../../models/diffusion/single/file.ts';
import { structureOf, tokenizerInFile } from '../../models/diffusion/single/open.ts';
import type { SafetensorsEntry } from '../../models/safetensors.ts';
import { firstDifference } from './first-difference.ts';
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
  const differs = firstDifference(base, read);
  if (differs)
    throw refuse(`it doesn't say ${differs.what} (${differs.own} here, ${differs.other} as programs read such a file)`);
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

function checkNoise({ noise }: UNetFile, refuse: (what: string) => UserError): void {
  const standard = { form: 'scaled_linear', start: 0.00085, end: 0.012 };
  if (noise.kind !== 'variance' || noise.trainSteps !== 1000 || !isDeepStrictEqual(noise.betas, standard))
    throw refuse('it says nothing of the noise, and the model was trained on another kind than Stable Diffusion');
}
