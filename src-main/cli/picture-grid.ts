import type { Picture } from '../models/vision/pictures/picture.ts';

/** Pixels of the grid for one of a picture. */
const ENLARGED = 2;
const COLUMNS = 12;
/** Pairs of rows. */
const BANDS = 2;

/**
 * Pictures of one size over others of the same prompts, in pairs of rows: of each pair the upper row holds some of `above`, the lower one
 * those of `below` by the same prompts. Of more than fit some are taken, evenly.
 */
export function gridOf(above: Picture[], below: Picture[]): Picture {
  const count = Math.min(above.length, COLUMNS * BANDS);
  const taken = Array.from({ length: count }, (_, i) => Math.floor((i * above.length) / count));
  const columns = Math.min(count, COLUMNS);
  const { width, height } = above[0]!;
  const grid = {
    width: columns * width * ENLARGED,
    height: 2 * Math.ceil(count / columns) * height * ENLARGED,
  };
  const rgb = new Uint8Array(grid.width * grid.height * 3).fill(255);
  for (const [i, which] of taken.entries()) {
    const [column, row] = [i % columns, 2 * Math.floor(i / columns)];
    for (const [lower, picture] of [above[which]!, below[which]!].entries())
      lay(picture, { rgb, ...grid }, column * width * ENLARGED, (row + lower) * height * ENLARGED);
  }
  return { ...grid, rgb };
}

/** Lays a picture onto another, enlarged without smoothing. */
function lay({ width, height, rgb }: Picture, onto: Picture, left: number, top: number): void {
  for (let y = 0; y < height * ENLARGED; y++)
    for (let x = 0; x < width * ENLARGED; x++) {
      const from = (Math.floor(y / ENLARGED) * width + Math.floor(x / ENLARGED)) * 3;
      onto.rgb.set(rgb.subarray(from, from + 3), ((top + y) * onto.width + left + x) * 3);
    }
}
