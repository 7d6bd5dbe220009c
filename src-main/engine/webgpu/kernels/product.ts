import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { run, type Kernel } from '../kernel.ts';
import { matrixThreads, threadsOf, tileKind, type Tile } from '../tiles.ts';
import { matrixKernel } from './matrix-product.ts';
import {
  paramsOf,
  PRODUCT_PARAMS,
  readsOf,
  storing,
  type Along,
  type ProductSizes,
  type ProductSpec,
} from './product-parts.ts';

export type { ProductSpec };

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
    reads: readsOf(spec, number),
    writes: splitRows ? { upperResult: number, lowerResult: number } : { result: number },
    params: PRODUCT_PARAMS,
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
  const { rows, columns, inner, stride = columns, shift = 0 } = sizes;
  const kind = tileKind(rows, columns);
  const tile = backend.tiles[spec.half && kind === 'square' ? 'half' : kind];
  const wide = [columns, stride, shift].every((number) => number % 4 === 0);
  const { units } = tile;
  const text = units
    ? matrixKernel(spec, { ...tile, units }, matrixThreads(backend.opened), wide)
    : kernel(spec, tile, backend.opened.has('shader-f16'), wide);
  const [across, down] = [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows)];
  const flops = 2 * tile.rows * columns * inner;
  const most = Math.max(1, Math.floor(backend.flopsASubmission / flops));
  for (let first = 0; first < down; first += most) {
    const groups = Math.min(most, down - first);
    run(backend, text, reads, writes, paramsOf(sizes, first), [across, groups], groups * flops);
  }
}
