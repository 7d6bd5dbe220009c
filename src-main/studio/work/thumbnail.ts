import { dataUrl, thumbnailOf } from '../../models/vision/pictures/decode.ts';
import type { Jobs } from './types.ts';

/** Longest side of a picture in small, pixels: sharp on a screen of twice the density. */
const SIDE = 256;

/** A picture in small for the page. @throws UserError for one that isn't read */
export const thumbnail: Jobs['thumbnail'] = async ({ name, bytes }) => {
  const small = await thumbnailOf(bytes, name, SIDE);
  return { width: small.width, height: small.height, thumbnail: dataUrl(small) };
};
