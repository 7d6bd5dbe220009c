import type { Normalization, PreparedPicture } from './options.ts';

/** How a tower cuts its input: patches of `patch` x `patch` pixels, each `frames` times, by blocks of `merge` x `merge`. */
export interface PatchLayout {
  patch: number;
  frames: number;
  merge: number;
}

/**
 * A prepared picture's patches, [tiles * patches, 3 * frames * patch * patch]: values by channel, frame, row, column, as the weight
 * of a patch convolution lies; patches row by row, or by rows of merged blocks. What is left at the right and below is not seen.
 */
export function patchRows(picture: PreparedPicture, layout: PatchLayout, normalization: Normalization): Float32Array {
  const { patch, frames, merge } = layout;
  const { width, height, tiles, rgb } = picture;
  const [across, down] = [Math.floor(width / patch), Math.floor(height / patch)];
  const size = 3 * frames * patch * patch;
  const out = new Float32Array(tiles * across * down * size);
  const values = normalized(normalization);
  let to = 0;
  for (let tile = 0; tile < tiles; tile++)
    for (const [x, y] of placesOf(across, down, merge))
      for (let channel = 0; channel < 3; channel++)
        for (let frame = 0; frame < frames; frame++)
          for (let row = 0; row < patch; row++) {
            let from = ((tile * height + y * patch + row) * width + x * patch) * 3 + channel;
            for (let column = 0; column < patch; column++, from += 3) out[to++] = values[channel]![rgb[from]!]!;
          }
  return out;
}

/** Where each patch lies, in the order of the tokens. */
function* placesOf(across: number, down: number, merge: number): Generator<[x: number, y: number]> {
  for (let y = 0; y < down; y += merge)
    for (let x = 0; x < across; x += merge)
      for (let i = 0; i < merge * merge; i++) yield [x + (i % merge), y + Math.floor(i / merge)];
}

/** What each whole value becomes, by channel: in f32 at every step, as numpy does it. */
const normalized = ({ rescale, mean, deviation }: Normalization): Float32Array[] =>
  mean.map((m, channel) =>
    Float32Array.from(
      { length: 256 },
      (_, value) => Math.fround(Math.fround(value * rescale) - Math.fround(m)) / Math.fround(deviation[channel]!),
    ),
  );
