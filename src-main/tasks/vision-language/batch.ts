import { padBatch } from '../../data/batches.ts';
import { joined } from '../../models/floats.ts';
import type { PictureBatch } from '../../models/vision/vision-language.ts';
import type { PreparedPictures } from './prepare.ts';

/** One row an example, and all their pictures in the order of the rows. */
export function pictureBatch(examples: Omit<PreparedPictures, 'row'>[]): PictureBatch {
  const patches = joined(examples.map((example) => example.patches));
  return { ...padBatch(examples), patches, grids: examples.flatMap(({ grids }) => grids) };
}
