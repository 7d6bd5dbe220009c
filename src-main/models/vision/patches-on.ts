import type { PreparedPicture } from './preparation/options.ts';
import type { PictureProcessor } from './preparation/processor.ts';
import { shortestEdgeSize, type Size } from './preparation/sizes.ts';
import { featuresOf, type QwenConfig, type VisionConfig } from './towers/config.ts';
import { encoderRows, TOWER } from './towers/sites.ts';
import { windowLayout, type PatchGrid } from './towers/windows.ts';

/** A rectangle on a picture, in shares of its width and height, 0 to 1. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** The patches of a picture, or of one tile of it: equal cells that fill a rectangle on the picture, row by row. */
export interface Patches {
  box: Box;
  isTile: boolean;
  rows: number;
  columns: number;
  /** of each patch, which row it is of those that the part of the model works on */
  at: Int32Array;
}

/** A picture, upright, as it was prepared for a tower. */
export interface PlacedPicture {
  /** pixels */
  of: Size;
  size: Pick<PreparedPicture, 'rows' | 'columns' | 'width' | 'height'>;
  grids: PatchGrid[];
}

/**
 * Where on a picture the rows lie that a part of the model works on: the tower's patches, else the tokens that they become.
 * @returns tiles and the whole, in the order of their tokens
 */
export function patchesOn(
  { of, size, grids }: PlacedPicture,
  part: string,
  { options }: PictureProcessor,
  config: VisionConfig,
): Patches[] {
  const places = part === TOWER ? towerPlaces(grids, config) : tokenPlaces(grids, config);
  return grids.map((grid, tile) => {
    const isTile = tile < size.rows * size.columns;
    const whole = isTile ? tileBox(tile, size) : options.kind === 'crop' ? cropBox(of, options) : WHOLE;
    return { box: covered(whole, size, grid, config.tower.patchSize), isTile, ...places[tile]! };
  });
}

const WHOLE: Box = { left: 0, top: 0, width: 1, height: 1 };

const tileBox = (tile: number, { rows, columns }: { rows: number; columns: number }): Box => ({
  left: (tile % columns) / columns,
  top: Math.floor(tile / columns) / rows,
  width: 1 / columns,
  height: 1 / rows,
});

/** CLIP's middle, as `centerCrop` cuts it. */
function cropBox(of: Size, { shortestEdge, width, height }: Size & { shortestEdge: number }): Box {
  const resized = shortestEdgeSize(of, shortestEdge);
  const [left, top] = [Math.floor((resized.width - width) / 2), Math.floor((resized.height - height) / 2)];
  return {
    ...{ left: left / resized.width, top: top / resized.height },
    ...{ width: width / resized.width, height: height / resized.height },
  };
}

/** What is left at the right and below of whole patches is not seen. */
const covered = ({ left, top, width, height }: Box, size: Size, { rows, columns }: PatchGrid, patch: number): Box => ({
  ...{ left, top },
  width: (width * columns * patch) / size.width,
  height: (height * rows * patch) / size.height,
});

type Places = Pick<Patches, 'rows' | 'columns' | 'at'>;
const counted = (rows: number, columns: number, first: number): Places => ({
  ...{ rows, columns },
  at: Int32Array.from({ length: rows * columns }, (_, i) => first + i),
});

/** The tokens: blocks of patches, tile after tile; LLaVA's whole CLIP has one before each that is no patch. */
function tokenPlaces(grids: PatchGrid[], config: VisionConfig): Places[] {
  let next = 0;
  return grids.map((grid) => {
    const by = blockOf(grid, config);
    const [rows, columns] = [grid.rows / by, grid.columns / by];
    next += featuresOf(grid, config);
    return counted(rows, columns, next - rows * columns);
  });
}

/** So many patches a side become one token. */
function blockOf({ rows }: PatchGrid, { tower, connector }: VisionConfig): number {
  switch (connector.kind) {
    case 'shuffle':
      return connector.scale;
    case 'mlp':
      return 1;
    case 'pool':
      return rows / connector.tokensPerSide;
    case 'merge':
      return (tower as QwenConfig).merge;
  }
}

/** The tower's own patches: CLIP has its class before those of each tile, Qwen has them window by window. */
function towerPlaces(grids: PatchGrid[], { tower }: VisionConfig): Places[] {
  if (tower.kind !== 'qwen2.5')
    return grids.map(({ rows, columns }, tile) =>
      counted(rows, columns, (tile + 1) * encoderRows(tower) - rows * columns),
    );
  const { merge } = tower;
  const { patches } = windowLayout(grids, tower);
  const placeOf = new Int32Array(grids.reduce((sum, { rows, columns }) => sum + rows * columns, 0));
  patches.forEach((patch, place) => patch >= 0 && (placeOf[patch] = place));
  let first = 0;
  return grids.map(({ rows, columns }) => {
    const at = Int32Array.from({ length: rows * columns }, (_, i) => {
      const [y, x] = [Math.floor(i / columns), i % columns];
      const block = Math.floor(y / merge) * (columns / merge) + Math.floor(x / merge);
      return placeOf[first + block * merge ** 2 + (y % merge) * merge + (x % merge)]!;
    });
    first += rows * columns;
    return { rows, columns, at };
  });
}
