import type { Operand } from './operands.ts';

// What all kernels of products of numbers with a fraction take and write.

/** Which of a matrix's two sides lies along its rows in memory. */
export type Along = 'inner' | 'outer';

export interface ProductSpec {
  left: Operand;
  /** of left: 'inner' is [rows, inner], 'outer' is [inner, rows] */
  leftAlong: Along;
  right: Operand;
  /** of right: 'inner' is [columns, inner], 'outer' is [inner, columns] */
  rightAlong: Along;
  /** added to the result: another buffer, or what the result's buffer holds */
  addend?: 'other' | 'result';
  /** the result's first `p.split` rows go into one tensor, the rest into another */
  splitRows?: boolean;
  /** `flags[row / p.rank]` 0: these rows cost nothing and are zero */
  flagged?: boolean;
  /**
   * Products in f16, of which a tile's depth adds up before f32 takes over; where the device has no f16, in f32. A buffer `scales`
   * tells what each of left's rows is multiplied by for that (row-scales.ts). Left lies along 'inner'.
   */
  half?: boolean;
}

export interface ProductSizes {
  rows: number;
  columns: number;
  inner: number;
  scale?: number;
  /** numbers from one row of the result to the next; default `columns` */
  stride?: number;
  /** the result's first column in such a row */
  shift?: number;
  /** of left, where only a window of its columns is taken */
  leftStride?: number;
  leftShift?: number;
  rank?: number;
  heads?: number;
  split?: number;
}

export const PRODUCT_PARAMS = {
  rows: 'u32',
  columns: 'u32',
  inner: 'u32',
  scale: 'f32',
  stride: 'u32',
  shift: 'u32',
  leftStride: 'u32',
  leftShift: 'u32',
  rank: 'u32',
  heads: 'u32',
  split: 'u32',
  firstGroup: 'u32',
} as const;

/** The numbers of `PRODUCT_PARAMS`, of a dispatch that begins at tile `firstGroup` of the rows. */
export function paramsOf(sizes: ProductSizes, firstGroup: number): number[] {
  const { rows, columns, inner, scale = 1, stride = columns, shift = 0 } = sizes;
  const { leftStride = inner, leftShift = 0, rank = 0, heads = 0, split = 0 } = sizes;
  return [rows, columns, inner, scale, stride, shift, leftStride, leftShift, rank, heads, split, firstGroup];
}

/** Buffers that a product reads, in the order of its tensors; `number` is the type of a result's. */
export const readsOf = (
  { left, right, addend, flagged, half }: ProductSpec,
  number: string,
): Record<string, string> => ({
  ...left.buffers,
  ...right.buffers,
  ...(addend === 'other' ? { addend: number } : {}),
  ...(flagged ? { flags: 'f32' } : {}),
  ...(half ? { scales: 'vec2f' } : {}),
});

/** How a product's result is written: `wide` in fours, where its rows and their parts begin at such. */
export function storing(
  { addend, splitRows }: Pick<ProductSpec, 'addend' | 'splitRows'>,
  half: boolean,
  wide: boolean,
): string {
  const [type, per] = wide ? ['vec4f', ' / 4u'] : ['f32', ''];
  const target = `result[(row * p.stride + p.shift + column)${per}]`;
  const store = splitRows
    ? `if (row < p.split) { upperResult[(row * p.columns + column)${per}] = value; }
      else { lowerResult[((row - p.split) * p.columns + column)${per}] = value; }`
    : `${target} = value;`;
  const plus = { other: ` + addend[(row * p.columns + column)${per}]`, result: ` + ${target}`, none: '' };
  const put = `fn put(row: u32, column: u32, sum: ${type}) {
  if (row >= p.rows || column >= p.columns) { return; }
  let value = sum * p.scale${half ? ' * scales[row].y' : ''}${plus[addend ?? 'none']};
  ${store}
}`;
  const four = wide ? 'put(row, column, sum);' : 'for (var j = 0u; j < 4u; j++) { put(row, column + j, sum[j]); }';
  return `${put}
fn putFour(row: u32, column: u32, sum: vec4f) { ${four} }`;
}
