import type { Filter } from '../pictures/resample.ts';

/** How pixel values become the tower's input: (value * rescale - mean) / deviation, each by channel. */
export interface Normalization {
  rescale: number;
  mean: number[];
  deviation: number[];
}

/** What a family's processor does to a picture before its tower sees it. Lengths in pixels. */
export type PictureOptions = { filter: Filter; normalization: Normalization } & (
  | Tiling
  | { kind: 'square'; height: number; width: number }
  | { kind: 'crop'; shortestEdge: number; height: number; width: number }
  | Grid
);

/** Idefics3, SmolVLM: the longest edge is made `longestEdge`, the picture cut into tiles, and the whole added as one more. */
export interface Tiling {
  kind: 'tiles';
  longestEdge: number;
  tile: number;
  /** false: only the whole */
  split: boolean;
}

/** Qwen2-VL, Qwen2.5-VL: any size of whole merged patches between two counts of pixels. */
export interface Grid {
  kind: 'grid';
  leastPixels: number;
  mostPixels: number;
  patch: number;
  /** a picture stands for so many frames of a film */
  frames: number;
  /** so many patches a side become one token */
  merge: number;
}

/** A picture as its family's tower takes it, still in whole values. */
export interface PreparedPicture {
  /** pictures of one size: tiles and the whole, in the order of their tokens */
  tiles: number;
  width: number;
  height: number;
  /** [tiles, height, width, 3] */
  rgb: Uint8Array;
  /** rows and columns of tiles before the whole; 0: only the whole */
  rows: number;
  columns: number;
}
