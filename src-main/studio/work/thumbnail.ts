import { thumbnailOf } from '../../models/vision/pictures/decode.ts';
import type { Jobs } from './types.ts';

/** Longest side of a picture in small, pixels: sharp on a screen of twice the density. */
const SIDE = 256;

/** A picture in small for the page, which has it in a data URL: both doors carry that, and no other site can ask for it. */
export const thumbnail: Jobs['thumbnail'] = async ({ name, bytes }) => {
  const { webp, width, height } = await thumbnailOf(bytes, name, SIDE);
  return { width, height, thumbnail: `data:image/webp;base64,${Buffer.from(webp).toString('base64')}` };
};
