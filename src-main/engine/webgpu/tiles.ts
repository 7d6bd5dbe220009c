import type { ProductSizes, ProductSpec, Tile } from './kernels/product.ts';

/** A square tile that does well on GPUs of every maker, and a flat one for a result with few rows or columns. */
const LARGE: Tile = { rows: 64, columns: 64, inner: 16, perThread: 4 };
const SMALL: Tile = { rows: 16, columns: 32, inner: 32, perThread: 2 };
const NARROW = 32;

/** Which tile each product takes. */
export class Tiles {
  of(_spec: ProductSpec, { rows, columns }: ProductSizes): Tile {
    return Math.min(rows, columns) <= NARROW ? SMALL : LARGE;
  }
}
