import { padBatch } from '../../data/batches.ts';
import type { TokenizedExample } from '../../data/types.ts';
import { joined } from '../../models/floats.ts';
import type { PictureBatch } from '../../models/vision/vision-language.ts';
import type { FedPictures } from '../../models/vision/preparation/fed.ts';

/** One row an example, and all their pictures in the order of the rows. */
export function pictureBatch(examples: (Pick<TokenizedExample, 'inputIds' | 'labels'> & FedPictures)[]): PictureBatch {
  const patches = joined(examples.map((example) => example.patches));
  return { ...padBatch(examples), patches, grids: examples.flatMap(({ grids }) => grids) };
}
