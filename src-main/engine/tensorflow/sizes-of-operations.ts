/** Inputs that name sizes, by operation; -1 in them means what is left. */
export const OPEN_SIZES: Record<string, number> = { Reshape: 1, Slice: 2 };
/** Inputs that name sizes which can't be left open. */
export const FIXED_SIZES: Record<string, number[]> = {
  BroadcastTo: [1],
  Fill: [0],
  Pad: [1],
  PadV2: [1],
  Range: [0, 1],
  SplitV: [1],
  StridedSlice: [1, 2],
  Tile: [1],
};
