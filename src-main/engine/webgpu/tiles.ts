/** What a workgroup of a product makes at a time: rows x columns of the result, `inner` deep; `perThread` rows and 4 columns a thread. */
export interface Tile {
  rows: number;
  columns: number;
  inner: number;
  perThread: number;
}

/** Results with many rows and columns, and those with few of one: adapters' ranks and heads. */
export type TileKind = 'square' | 'flat';

/** Tiles that are worth trying on a device, the first being what an untuned one takes. */
export const CANDIDATES: Record<TileKind, Tile[]> = {
  square: [
    { rows: 64, columns: 64, inner: 16, perThread: 4 },
    { rows: 32, columns: 64, inner: 16, perThread: 4 },
    { rows: 64, columns: 64, inner: 32, perThread: 8 },
    { rows: 128, columns: 64, inner: 16, perThread: 8 },
    { rows: 32, columns: 32, inner: 32, perThread: 4 },
  ],
  flat: [
    { rows: 16, columns: 32, inner: 32, perThread: 2 },
    { rows: 32, columns: 32, inner: 16, perThread: 4 },
    { rows: 16, columns: 64, inner: 16, perThread: 2 },
  ],
};

/** A result with fewer rows or columns than this is flat. */
const FLAT = 33;

export const tileKind = (rows: number, columns: number): TileKind =>
  Math.min(rows, columns) < FLAT ? 'flat' : 'square';

/** A software adapter compiles every thread of a workgroup: few of them are as fast and ready sooner. */
export const SOFTWARE_TILE: Tile = { rows: 16, columns: 16, inner: 16, perThread: 4 };
