import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { run, type Kernel } from '../kernel.ts';
import { tileKind, type Tile } from '../tiles.ts';
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
} as const;

/** Fills one of the two tiles, [inner][rows or columns], from four neighbours in memory at a time, as numbers of a type. */
function fill(
  { name, read, type, scale }: { name: string; read: string; type: string; scale?: boolean },
  side: number,
  inner: number,
  along: Along,
  start: string,
  threads: number,
) {
  const times = scale ? ` * scales[min(${start} + line, p.rows - 1u)].x` : '';
  const groups = (side * inner) / 4;
  const body =
    along === 'inner'
      ? `let line = i / ${inner / 4}u;
      let deep = i % ${inner / 4}u * 4u;
      let four = ${read}(${start} + line, k + deep)${times};
      for (var j = 0u; j < 4u; j++) { ${name}[(deep + j) * ${side}u + line] = ${type}(four[j]); }`
      : `let deep = i / ${side / 4}u;
      let line = i % ${side / 4}u * 4u;
      let four = ${read}(k + deep, ${start} + line);
      for (var j = 0u; j < 4u; j++) { ${name}[deep * ${side}u + line + j] = ${type}(four[j]); }`;
  return `for (var i = thread; i < ${groups}u; i += ${threads}u) {
      ${body}
    }`;
}

/** Whether one of the rows from `first` on is to be computed. */
const anyFlag = (rows: number) => `fn anyFlag(first: u32) -> bool {
  for (var row = first; row < min(first + ${rows}u, p.rows); row += p.rank - row % p.rank) {
    if (flags[row / p.rank] != 0.0) { return true; }
  }
  return false;
}`;

function kernel(spec: ProductSpec, tile: Tile, hasHalf: boolean): Kernel {
  const { left, right, leftAlong, rightAlong, addend, splitRows, flagged, half } = spec;
  const type = half && hasHalf ? 'f16' : 'f32';
  const { rows, columns, inner, perThread } = tile;
  const across = columns / 4;
  const down = rows / perThread;
  const threads = across * down;
  const each = (line: (i: number) => string) => Array.from({ length: perThread }, (_, i) => line(i)).join('\n');
  const shape = (along: Along, side: string) => (along === 'inner' ? [side, 'p.inner'] : ['p.inner', side]);
  const [leftRows, leftColumns] = shape(leftAlong, 'p.rows') as [string, string];
  const [rightRows, rightColumns] = shape(rightAlong, 'p.columns') as [string, string];
  const target = splitRows ? 'value' : 'result[row * p.stride + p.shift + column]';
  const store = splitRows
    ? `if (row < p.split) { upperResult[row * p.columns + column] = value; }
      else { lowerResult[(row - p.split) * p.columns + column] = value; }`
    : `${target} = value;`;
  const plus = { other: ' + addend[row * p.columns + column]', result: ` + ${target}`, none: '' }[addend ?? 'none'];
  return {
    name: `product ${left.name} ${leftAlong} ${right.name} ${rightAlong} ${addend} ${splitRows} ${flagged} ${half} ${Object.values(tile).join()}`,
    reads: {
      ...left.buffers,
      ...right.buffers,
      ...(addend === 'other' ? { addend: 'f32' } : {}),
      ...(flagged ? { flags: 'f32' } : {}),
      ...(half ? { scales: 'vec2f' } : {}),
    },
    writes: splitRows ? { upperResult: 'f32', lowerResult: 'f32' } : { result: 'f32' },
    params: PARAMS,
    enable: type === 'f16' ? ['f16'] : [],
    code: `${left.read('readLeft', leftRows, leftColumns)}
${right.read('readRight', rightRows, rightColumns)}
var<workgroup> leftTile: array<${type}, ${rows * inner}>;
var<workgroup> rightTile: array<${type}, ${columns * inner}>;
fn put(row: u32, column: u32, sum: f32) {
  if (row >= p.rows || column >= p.columns) { return; }
  let value = sum * p.scale${half ? ' * scales[row].y' : ''}${plus};
  ${store}
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let firstRow = group.y * ${rows}u;
  let firstColumn = group.x * ${columns}u;
  let x = thread % ${across}u;
  let y = thread / ${across}u;
  ${each((i) => `var sum${i} = vec4f(0.0);`)}
  var end = p.inner;
  ${flagged ? `end = select(0u, p.inner, anyFlag(firstRow));` : ''}
  for (var k = 0u; k < end; k += ${inner}u) {
    ${fill({ name: 'leftTile', read: 'readLeft', type, scale: half }, rows, inner, leftAlong, 'firstRow', threads)}
    ${fill({ name: 'rightTile', read: 'readRight', type }, columns, inner, rightAlong, 'firstColumn', threads)}
    workgroupBarrier();
    ${half ? each((i) => `var part${i} = vec4<${type}>();`) : ''}
    for (var i = 0u; i < ${inner}u; i++) {
      let at = i * ${columns}u + x;
      let four = vec4<${type}>(rightTile[at], rightTile[at + ${across}u], rightTile[at + ${2 * across}u], rightTile[at + ${3 * across}u]);
      ${each((i) => `${half ? 'part' : 'sum'}${i} += leftTile[i * ${rows}u + y + ${i * down}u] * four;`)}
    }
    ${half ? each((i) => `sum${i} += vec4f(part${i});`) : ''}
    workgroupBarrier();
  }
  ${each(
    (i) => `for (var j = 0u; j < 4u; j++) {
    let row = firstRow + y + ${i * down}u;
    put(row, firstColumn + x + j * ${across}u, sum${i}[j]${flagged ? ' * flags[min(row, p.rows - 1u) / p.rank]' : ''});
  }`,
  )}
}
${flagged ? anyFlag(rows) : ''}`,
  };
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
  const tile = backend.tiles[tileKind(rows, columns)];
  const params = [rows, columns, inner, scale, stride, shift, leftStride, leftShift, rank, heads, split];
  const groups = [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows)] as [number, number];
  run(backend, kernel(spec, tile, backend.opened.has('shader-f16')), reads, writes, params, groups);
}
