/** What a workgroup of a product makes at a time: rows x columns of the result, `inner` deep; `perRow` rows x `perColumn` columns a thread. */
export interface Tile {
  rows: number;
  columns: number;
  inner: number;
  /** multiples of 4 */
  perRow: number;
  perColumn: number;
  /** made of matrices of a subgroup, where the device has such: four quarters, a subgroup each; nothing a thread then */
  units?: MatrixUnits;
}

/** A device multiplies rows x inner numbers in f16 by inner x columns in one go, a subgroup together, into f32. */
export interface MatrixUnits {
  rows: number;
  columns: number;
  inner: number;
}

/** Results with many rows and columns, those with few of one (adapters' ranks and heads), and those of products in f16 and in integers. */
export const TILE_KINDS = ['square', 'flat', 'half', 'integer'] as const;
export type TileKind = (typeof TILE_KINDS)[number];
export type Tiles = Record<TileKind, Tile>;

const SQUARE: Tile[] = [
  { rows: 64, columns: 64, inner: 16, perRow: 8, perColumn: 8 },
  { rows: 64, columns: 64, inner: 16, perRow: 4, perColumn: 4 },
  { rows: 64, columns: 64, inner: 32, perRow: 8, perColumn: 4 },
  { rows: 128, columns: 64, inner: 16, perRow: 8, perColumn: 8 },
  { rows: 128, columns: 128, inner: 16, perRow: 8, perColumn: 8 },
  { rows: 32, columns: 32, inner: 32, perRow: 4, perColumn: 4 },
];

/** Tiles that are worth trying on a device, the first being what an untuned one takes. */
export const CANDIDATES: Record<TileKind, Tile[]> = {
  square: SQUARE,
  half: SQUARE,
  integer: SQUARE.filter(({ inner }) => inner === 16), // parts have a depth of their own
  flat: [
    { rows: 32, columns: 32, inner: 16, perRow: 4, perColumn: 4 },
    { rows: 16, columns: 32, inner: 32, perRow: 4, perColumn: 4 },
    { rows: 64, columns: 32, inner: 16, perRow: 8, perColumn: 4 },
  ],
};

/** Tiles of those matrices of a device that they are whole multiples of. */
export const matrixTiles = (units: MatrixUnits[]): Tile[] =>
  units
    .filter(({ rows, columns, inner }) => [rows, columns, inner].every((side) => MATRIX_INNER % side === 0))
    .flatMap((unit) =>
      [64, 128].map((side) => ({
        ...{ rows: side, columns: side, inner: MATRIX_INNER, perRow: 0, perColumn: 0, units: unit },
      })),
    );
const MATRIX_INNER = 32;

/** Subgroups of a workgroup, a quarter of its tile each. */
export const MATRIX_SUBGROUPS = 4;

/** Threads of a workgroup that has them whatever a subgroup's size turns out to be. */
export const matrixThreads = ({ found }: { found: { adapter: GPUAdapter } }): number =>
  MATRIX_SUBGROUPS * found.adapter.info.subgroupMaxSize!;

/** A result with fewer rows or columns than this is flat. */
const FLAT = 33;

export const tileKind = (rows: number, columns: number): 'flat' | 'square' =>
  Math.min(rows, columns) < FLAT ? 'flat' : 'square';

export const threadsOf = ({ rows, columns, perRow, perColumn }: Tile): number =>
  (rows / perRow) * (columns / perColumn);

/** A software adapter compiles every thread of a workgroup: few that do much are the fastest and ready sooner. */
export const SOFTWARE_TILE: Tile = { rows: 32, columns: 32, inner: 16, perRow: 8, perColumn: 8 };

/** The same tile for every kind. */
export const sameTiles = (tile: Tile): Tiles => ({ square: tile, flat: tile, half: tile, integer: tile });

/** Of a large result twice as many rows and columns at a time: each number is read half as often, in no more time. */
export const SOFTWARE_TILES: Tiles = {
  ...sameTiles(SOFTWARE_TILE),
  square: { rows: 64, columns: 64, inner: 16, perRow: 8, perColumn: 8 },
};
