import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { run, type Kernel } from '../kernel.ts';
import { threadsOf, type Tile } from '../tiles.ts';
import type { FrozenMatrix, FrozenPart } from './frozen.ts';
import { integerLines, roundedLines, type IntegerLines } from './integer-lines.ts';
import { floats } from './operands.ts';
import { storing } from './product-parts.ts';
import { hasLeast, isInBlocks, quantized } from './weight-formats.ts';

// Products in integers (docs/method.md, Integer products): a part's integers add up exactly, its sum times both scales in f32.

const PARAMS = {
  ...({ rows: 'u32', columns: 'u32', parts: 'u32', scale: 'f32', stride: 'u32', shift: 'u32' } as const),
  /** of left: parts of a line, and the first that counts */
  ...({ leftParts: 'u32', leftFirst: 'u32', firstGroup: 'u32' } as const),
} as const;

/** Fills one of the two tiles with the words of a part: [word][a quarter of its lines] fours. */
function fill(
  name: string,
  from: string,
  side: number,
  words: number,
  at: string,
  last: string,
  threads: number,
): string {
  const quarter = side / 4;
  const turned = (j: number) =>
    `${name}Tile[(deep + ${j}u) * ${quarter}u + i % ${quarter}u] = vec4u(fours[0][${j}], fours[1][${j}], fours[2][${j}], fours[3][${j}]);`;
  return `for (var i = thread; i < ${(quarter * words) / 4}u; i += ${threads}u) {
      let line = ${at} + i % ${quarter}u * 4u;
      let deep = i / ${quarter}u * 4u;
      var fours: array<vec4u, 4>;
      for (var j = 0u; j < 4u; j++) { fours[j] = ${name}[(min(line + j, ${last}) * ${from}) * ${words / 4}u + deep / 4u]; }
      ${[0, 1, 2, 3].map(turned).join('\n')}
    }`;
}

/** A part has `part` numbers; `least`: right has something to add. A thread has rows and columns as in product.ts. */
function kernel(tile: Tile, part: 16 | 32, least: boolean, addend: 'result' | undefined, wide: boolean): Kernel {
  const { rows, columns, perRow, perColumn } = tile;
  const [threads, across, fours] = [threadsOf(tile), columns / perColumn, perColumn / 4];
  const words = part / 4;
  const list = (count: number, line: (i: number) => string, between = '\n') =>
    Array.from({ length: count }, (_, i) => line(i)).join(between);
  const each = (line: (row: number, four: number) => string, between = '\n') =>
    list(perRow, (row) => list(fours, (four) => line(row, four), between), between);
  const left = (row: number) => `left${Math.floor(row / 4)}[${row % 4}]`;
  const dots = (row: number, four: number) => [0, 1, 2, 3].map((i) => `dot4I8Packed(${left(row)}, right${four}[${i}])`);
  return {
    name: `integerProduct ${part} ${least} ${addend} ${wide} ${Object.values(tile).join()}`,
    reads: { left: 'vec4u', leftScales: 'vec2f', right: 'vec4u', rightScales: 'vec2f' },
    writes: { result: wide ? 'vec4f' : 'f32' },
    params: PARAMS,
    code: `var<workgroup> leftTile: array<vec4u, ${(rows * words) / 4}>;
var<workgroup> rightTile: array<vec4u, ${(columns * words) / 4}>;
var<workgroup> leftScale: array<f32, ${rows}>;
var<workgroup> rightScale: array<vec2f, ${columns}>;
${storing({ addend }, false, wide)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let firstRow = (group.y + p.firstGroup) * ${rows}u;
  let firstColumn = group.x * ${columns}u;
  let x = thread % ${across}u;
  let y = thread / ${across}u;
  ${each((row, four) => `var sum${row}_${four} = vec4f(0.0);`)}
  for (var k = 0u; k < p.parts; k++) {
    ${fill('left', 'p.leftParts + p.leftFirst + k', rows, words, 'firstRow', 'p.rows - 1u', threads)}
    ${fill('right', 'p.parts + k', columns, words, 'firstColumn', 'p.columns - 1u', threads)}
    for (var i = thread; i < ${rows}u; i += ${threads}u) {
      leftScale[i] = leftScales[(min(firstRow + i, p.rows - 1u) * p.leftParts + p.leftFirst + k) / ${32 / part}u].x;
    }
    for (var i = thread; i < ${columns}u; i += ${threads}u) {
      rightScale[i] = rightScales[min(firstColumn + i, p.columns - 1u) * p.parts + k];
    }
    workgroupBarrier();
    ${each((row, four) => `var part${row}_${four} = vec4i(0);`)}
    ${least ? list(perRow, (row) => `var all${row} = 0;`) : ''}
    for (var i = 0u; i < ${words}u; i++) {
      ${list(perRow / 4, (n) => `let left${n} = leftTile[i * ${rows / 4}u + y * ${perRow / 4}u + ${n}u];`)}
      ${list(fours, (n) => `let right${n} = rightTile[i * ${columns / 4}u + x + ${n * across}u];`)}
      ${each((row, four) => `part${row}_${four} += vec4i(${dots(row, four).join(', ')});`)}
      ${least ? list(perRow, (row) => `all${row} += dot4I8Packed(${left(row)}, 0x01010101u);`) : ''}
    }
    ${list(fours, (four) => `let at${four} = (x + ${four * across}u) * 4u;`)}
    ${list(fours, (four) => [0, 1].map((n) => `let scale${n}_${four} = vec4f(${[0, 1, 2, 3].map((i) => `rightScale[at${four} + ${i}u][${n}]`).join(', ')});`).join('\n'))}
    ${each((row, four) => `sum${row}_${four} += leftScale[y * ${perRow}u + ${row}u] * (scale0_${four} * vec4f(part${row}_${four})${least ? ` + scale1_${four} * f32(all${row})` : ''});`)}
    workgroupBarrier();
  }
  // In a loop, as compilers take long over what is written out.
  var sums = array<vec4f, ${perRow * fours}>(${each((row, four) => `sum${row}_${four}`, ', ')});
  for (var i = 0u; i < ${perRow * fours}u; i++) {
    putFour(firstRow + y * ${perRow}u + i / ${fours}u, firstColumn + (x + i % ${fours}u * ${across}u) * 4u, sums[i]);
  }
}`,
  };
}

export interface IntegerSizes {
  rows: number;
  columns: number;
  /** numbers of result's rows, and its first column in them */
  stride: number;
  shift?: number;
  /** the first of left's numbers that counts, a multiple of 32 */
  leftStart?: number;
  addend?: 'result';
  least?: boolean;
}

/** result [rows, columns] = left right^T (+ what it holds), of lines in integers. */
export function integerProduct(
  backend: Backend,
  left: IntegerLines,
  right: IntegerLines,
  result: Tensor2D,
  { rows, columns, stride, shift = 0, leftStart = 0, addend, least = false }: IntegerSizes,
): void {
  const tile = backend.tiles.integer;
  const { part } = right;
  const wide = [columns, stride, shift].every((number) => number % 4 === 0);
  const partsOf = (of: IntegerLines) => (of.words.shape[1] * 4) / part;
  const [across, down] = [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows)];
  const flops = 2 * tile.rows * columns * partsOf(right) * part;
  const most = Math.max(1, Math.floor(backend.flopsASubmission / flops));
  const reads = [left.words, left.scales, right.words, right.scales];
  for (let first = 0; first < down; first += most) {
    const groups = Math.min(most, down - first);
    const sizes = [rows, columns, partsOf(right), 1, stride, shift, partsOf(left), leftStart / part, first];
    run(backend, kernel(tile, part, least, addend, wide), reads, [result], sizes, [across, groups], groups * flops);
  }
}

const linesOf = (x: Tensor2D): Parameters<typeof roundedLines>[1] => ({
  ...{ operand: floats('x', x.shape[1]), tensor: x, rows: x.shape[0], columns: x.shape[1] },
  ...{ turned: false, asQ8: false },
});

/** A part of W, rounded; `turned` as W^T. */
function roundedPart(
  backend: Backend,
  { format, columns }: FrozenMatrix,
  { tensor, rows }: FrozenPart,
  turned: boolean,
) {
  const operand = quantized(format, 'weight', columns);
  return roundedLines(backend, { operand, tensor, rows, columns, turned, asQ8: true });
}

/** y = x W^T in integers: x [tokens, columns], y [tokens, rows], which is written. */
export function frozenIntegerProduct(backend: Backend, x: Tensor2D, weight: FrozenMatrix, y: Tensor2D): void {
  const { format, columns } = weight;
  tf.tidy(() => {
    const left = roundedLines(backend, linesOf(x));
    for (const part of weight.parts) {
      const { tensor, rows, start } = part;
      const right = isInBlocks(format)
        ? integerLines(backend, tensor, format, rows, columns)
        : roundedPart(backend, weight, part, false);
      const sizes = { rows: x.shape[0], columns: rows, stride: weight.rows, shift: start, least: hasLeast(format) };
      integerProduct(backend, left, right, y, sizes);
      tf.dispose([right.words, right.scales]);
    }
  });
}

/** dx = dy W in integers: dy [tokens, rows], dx [tokens, columns], which is written. W^T is rounded anew: twice as much would lie there else. */
export function frozenIntegerProductGrad(backend: Backend, dy: Tensor2D, weight: FrozenMatrix, dx: Tensor2D): void {
  const { columns } = weight;
  tf.tidy(() => {
    const left = roundedLines(backend, linesOf(dy));
    for (const part of weight.parts) {
      const right = roundedPart(backend, weight, part, true);
      const addend = part.start > 0 ? 'result' : undefined; // the parts add up
      const sizes = { rows: dy.shape[0], columns, stride: columns, leftStart: part.start, addend } as const;
      integerProduct(backend, left, right, dx, sizes);
      tf.dispose([right.words, right.scales]);
    }
  });
}
