import type { Picture } from '../pictures/picture.ts';
import { cut, resample, type Filter } from '../pictures/resample.ts';
import type { PictureOptions, PreparedPicture, Tiling } from './options.ts';
import { gridSize, shortestEdgeSize, tiledSizes, type Size } from './sizes.ts';

/**
 * Resizes, cuts and tiles a picture as its family's processor in transformers does, to the bit of its Pillow form.
 * @param name the picture's, for messages
 * @throws UserError for a picture that the family doesn't take
 */
export function preparePicture(picture: Picture, options: PictureOptions, name: string): PreparedPicture {
  const { filter } = options;
  switch (options.kind) {
    case 'tiles':
      return tiled(picture, options, filter);
    case 'square':
      return single(resample(picture, options, filter));
    case 'crop':
      return single(centerCrop(picture, options, filter));
    case 'grid':
      return single(resample(picture, gridSize(picture, options, name), filter));
  }
}

const single = ({ width, height, rgb }: Picture): PreparedPicture => ({
  ...{ tiles: 1, width, height, rgb },
  ...{ rows: 0, columns: 0 },
});

function tiled(picture: Picture, options: Tiling, filter: Filter): PreparedPicture {
  const { tile, split } = options;
  const square = { width: tile, height: tile };
  const { first, whole } = tiledSizes(picture, options);
  const resized = resample(picture, first, filter);
  if (!split) return single(resample(resized, square, filter));
  const large = resample(resized, whole, filter);
  if (large.width <= tile && large.height <= tile) return single(large);
  const [rows, columns] = [large.height / tile, large.width / tile];
  const bytes = tile * tile * 3;
  const rgb = new Uint8Array((rows * columns + 1) * bytes);
  for (let i = 0; i < rows * columns; i++) {
    const at = { left: (i % columns) * tile, top: Math.floor(i / columns) * tile, ...square };
    rgb.set(cut(large, at).rgb, i * bytes);
  }
  rgb.set(resample(large, square, filter).rgb, rows * columns * bytes);
  return { tiles: rows * columns + 1, ...square, rgb, rows, columns };
}

/** The middle of the picture at its shortest edge; only that part of it is computed, however long it is. */
function centerCrop(picture: Picture, crop: Size & { shortestEdge: number }, filter: Filter): Picture {
  const size = shortestEdgeSize(picture, crop.shortestEdge);
  const [left, top] = [Math.floor((size.width - crop.width) / 2), Math.floor((size.height - crop.height) / 2)];
  return resample(picture, size, filter, { left, top, width: crop.width, height: crop.height });
}
