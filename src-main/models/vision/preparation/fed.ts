import { joined } from '../../floats.ts';
import type { PatchGrid } from '../towers/windows.ts';
import type { PictureProcessor } from './open.ts';
import type { PreparedPicture } from './options.ts';
import { patchRows } from './patches.ts';

/** What pictures feed. */
export interface FedPictures {
  /** of all of them, in their order, as `patchRows` gives them */
  patches: Float32Array;
  /** of each picture, or tile of one */
  grids: PatchGrid[];
}

/** What prepared pictures feed to a tower of patches of so many pixels a side. */
export function fedOf(pictures: PreparedPicture[], { options }: PictureProcessor, patch: number): FedPictures {
  const { frames, merge } = options.kind === 'grid' ? options : { frames: 1, merge: 1 };
  const layout = { patch, frames, merge };
  const patches = joined(pictures.map((picture) => patchRows(picture, layout, options.normalization)));
  const grids = pictures.flatMap(({ tiles, width, height }) =>
    Array.from({ length: tiles }, () => ({ rows: Math.floor(height / patch), columns: Math.floor(width / patch) })),
  );
  return { patches, grids };
}
