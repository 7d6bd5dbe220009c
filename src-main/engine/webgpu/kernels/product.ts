import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { run, type Kernel } from '../kernel.ts';
import { threadsOf, tileKind, type Tile } from '../tiles.ts';
import type { Operand } from './operands.ts';

/** Which of a matrix's two sides lies along its rows in memory. */
type Along = 'inner' | 'outer';

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

const PARAMS = {
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

/**
 * Fills one of the two tiles, [inner][a quarter of its rows or columns] fours, as numbers of a type. What lies across is turned four by four
 * on its way, so that every reading and writing is of 16 bytes.
 */
function fill(
  { name, read, type, scale }: { name: string; read: string; type: string; scale?: boolean },
  side: number,
  inner: number,
  along: Along,
  start: string,
  threads: number,
) {
  const quarter = side / 4;
  if (along === 'outer')
    return `for (var i = thread; i < ${quarter * inner}u; i += ${threads}u) {
      ${name}[i] = vec4<${type}>(${read}(k + i / ${quarter}u, ${start} + i % ${quarter}u * 4u));
    }`;
  const times = scale ? ' * scales[min(line + j, p.rows - 1u)].x' : '';
  const turned = (j: number) =>
    `${name}[(deep + ${j}u) * ${quarter}u + i % ${quarter}u] = vec4<${type}>(fours[0][${j}], fours[1][${j}], fours[2][${j}], fours[3][${j}]);`;
  return `for (var i = thread; i < ${(quarter * inner) / 4}u; i += ${threads}u) {
      let line = ${start} + i % ${quarter}u * 4u;
      let deep = i / ${quarter}u * 4u;
      var fours: array<vec4<${type}>, 4>;
      for (var j = 0u; j < 4u; j++) { fours[j] = vec4<${type}>(${read}(line + j, k + deep)${times}); }
      ${[0, 1, 2, 3].map(turned).join('\n')}
    }`;
}

/** Whether one of the rows from `first` on is to be computed. */
const anyFlag = (rows: number) => `fn anyFlag(first: u32) -> bool {
  for (var row = first; row < min(first + ${rows}u, p.rows); row += p.rank - row % p.rank) {
    if (flags[row / p.rank] != 0.0) { return true; }
  }
  return false;
}`;

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

function kernel(spec: ProductSpec, tile: Tile, hasHalf: boolean, wide: boolean): Kernel {
  const { left, right, leftAlong, rightAlong, addend, splitRows, flagged, half = false } = spec;
  const type = half && hasHalf ? 'f16' : 'f32';
  const number = wide ? 'vec4f' : 'f32';
  const { rows, columns, inner } = tile;
  const shape = (along: Along, side: string) => (along === 'inner' ? [side, 'p.inner'] : ['p.inner', side]);
  const [leftRows, leftColumns] = shape(leftAlong, 'p.rows') as [string, string];
  const [rightRows, rightColumns] = shape(rightAlong, 'p.columns') as [string, string];
  return {
    name: `product ${left.name} ${leftAlong} ${right.name} ${rightAlong} ${addend} ${splitRows} ${flagged} ${half} ${wide} ${Object.values(tile).join()}`,
    reads: {
      ...left.buffers,
      ...right.buffers,
      ...(addend === 'other' ? { addend: number } : {}),
      ...(flagged ? { flags: 'f32' } : {}),
      ...(half ? { scales: 'vec2f' } : {}),
    },
    writes: splitRows ? { upperResult: number, lowerResult: number } : { result: number },
    params: PARAMS,
    enable: type === 'f16' ? ['f16'] : [],
    code: `${left.read('readLeft', leftRows, leftColumns)}
${right.read('readRight', rightRows, rightColumns)}
var<workgroup> leftTile: array<vec4<${type}>, ${(rows * inner) / 4}>;
var<workgroup> rightTile: array<vec4<${type}>, ${(columns * inner) / 4}>;
${storing(spec, half, wide)}
${body(spec, tile, type)}
${flagged ? anyFlag(rows) : ''}`,
  };
}

/**
 * `main`: a thread has `perRow` rows beside each other and, four by four, `perColumn` columns that lie a whole tile's width apart, so
 * that neighbouring threads read neighbouring fours.
 */
function body({ leftAlong, rightAlong, flagged, half }: ProductSpec, tile: Tile, type: 'f16' | 'f32'): string {
  const { rows, columns, inner, perRow, perColumn } = tile;
  const across = columns / perColumn;
  const threads = threadsOf(tile);
  const list = (count: number, line: (i: number) => string, between = '\n') =>
    Array.from({ length: count }, (_, i) => line(i)).join(between);
  const [fours, down] = [perColumn / 4, perRow / 4];
  const each = (line: (row: number, four: number) => string, between = '\n') =>
    list(perRow, (row) => list(fours, (four) => line(row, four), between), between);
  const flag = flagged ? ' * flags[min(row, p.rows - 1u) / p.rank]' : '';
  return `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let firstRow = (group.y + p.firstGroup) * ${rows}u;
  let firstColumn = group.x * ${columns}u;
  let x = thread % ${across}u;
  let y = thread / ${across}u;
  ${each((row, four) => `var sum${row}_${four} = vec4f(0.0);`)}
  var end = p.inner;
  ${flagged ? `end = select(0u, p.inner, anyFlag(firstRow));` : ''}
  for (var k = 0u; k < end; k += ${inner}u) {
    ${fill({ name: 'leftTile', read: 'readLeft', type, scale: half }, rows, inner, leftAlong, 'firstRow', threads)}
    ${fill({ name: 'rightTile', read: 'readRight', type }, columns, inner, rightAlong, 'firstColumn', threads)}
    workgroupBarrier();
    ${half ? each((row, four) => `var part${row}_${four} = vec4<${type}>();`) : ''}
    for (var i = 0u; i < ${inner}u; i++) {
      ${list(down, (n) => `let left${n} = leftTile[i * ${rows / 4}u + y * ${down}u + ${n}u];`)}
      ${list(fours, (n) => `let right${n} = rightTile[i * ${columns / 4}u + x + ${n * across}u];`)}
      ${each((row, four) => `${half ? 'part' : 'sum'}${row}_${four} += left${Math.floor(row / 4)}[${row % 4}] * right${four};`)}
    }
    ${half ? each((row, four) => `sum${row}_${four} += vec4f(part${row}_${four});`) : ''}
    workgroupBarrier();
  }
  // In a loop, as compilers take long over what is written out.
  var sums = array<vec4f, ${perRow * fours}>(${each((row, four) => `sum${row}_${four}`, ', ')});
  for (var i = 0u; i < ${perRow * fours}u; i++) {
    let row = firstRow + y * ${perRow}u + i / ${fours}u;
    putFour(row, firstColumn + (x + i % ${fours}u * ${across}u) * 4u, sums[i]${flag});
  }
}`;
}

/** result [rows, columns] = scale left right (+ addend): left [rows, inner], right [inner, columns], each stored as `spec` says. */
export function product(
  backend: Backend,
  spec: ProductSpec,
  reads: TensorInfo[],
  writes: TensorInfo[],
  sizes: ProductSizes,
): void {
  const { rows, columns, inner, scale = 1, stride = columns, shift = 0 } = sizes;
  const { leftStride = inner, leftShift = 0, rank = 0, heads = 0, split = 0 } = sizes;
  const kind = tileKind(rows, columns);
  const tile = backend.tiles[spec.half && kind === 'square' ? 'half' : kind];
  const wide = [columns, stride, shift].every((number) => number % 4 === 0);
  const text = kernel(spec, tile, backend.opened.has('shader-f16'), wide);
  const [across, down] = [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows)];
  const flops = 2 * tile.rows * columns * inner;
  const most = Math.max(1, Math.floor(backend.flopsASubmission / flops));
  for (let first = 0; first < down; first += most) {
    const groups = Math.min(most, down - first);
    const params = [rows, columns, inner, scale, stride, shift, leftStride, leftShift, rank, heads, split, first];
    run(backend, text, reads, writes, params, [across, groups], groups * flops);
  }
}
