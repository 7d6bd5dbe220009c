import type { CaptionedExample } from './dataset.ts';
import type { Cut } from './draws.ts';

/** A picture as a VAE takes it. */
export interface Pixels {
  height: number;
  width: number;
  /** red, green, blue, -1 to 1: [height, width, 3] */
  values: Float32Array;
}

/** An example's bucket, cut from its picture. @throws UserError where its file is another one by now */
export async function pixelsOf(example: CaptionedExample, { left, top, flipped }: Cut): Promise<Pixels> {
  const { rgb, width, bucketWidth, bucketHeight } = await example.pixels();
  const values = new Float32Array(bucketWidth * bucketHeight * 3);
  for (let y = 0; y < bucketHeight; y++)
    for (let x = 0; x < bucketWidth; x++) {
      const from = ((top + y) * width + left + (flipped ? bucketWidth - 1 - x : x)) * 3;
      const to = (y * bucketWidth + x) * 3;
      for (let channel = 0; channel < 3; channel++) values[to + channel] = rgb[from + channel]! / 127.5 - 1;
    }
  return { height: bucketHeight, width: bucketWidth, values };
}

/** What SDXL is told of a picture: its own height and width, top and left of what is cut, height and width of that. */
export function sizesOf({ picture }: Pick<CaptionedExample, 'picture'>, { left, top, flipped }: Cut): number[] {
  const { width, ownHeight, ownWidth, bucketHeight, bucketWidth } = picture;
  // Mirrored, what was right of the cut is left of it.
  const from = flipped ? width - bucketWidth - left : left;
  return [ownHeight, ownWidth, top, from, bucketHeight, bucketWidth];
}
