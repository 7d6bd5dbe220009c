import { padBatch } from '../../data/batches.ts';
import type { PictureBatch } from '../../models/vision/vision-language.ts';
import type { PreparedPictures } from './prepare.ts';

/** One row an example, and all their pictures in the order of the rows. */
export function pictureBatch(examples: Omit<PreparedPictures, 'row'>[]): PictureBatch {
  const patches = new Float32Array(examples.reduce((sum, example) => sum + example.patches.length, 0));
  examples.reduce((at, example) => (patches.set(example.patches, at), at + example.patches.length), 0);
  return { ...padBatch(examples), patches, grids: examples.flatMap(({ grids }) => grids) };
}
