import type { Tensor2D, TensorInfo } from '@tensorflow/tfjs-core';
import type { WeightFormat } from '../../weight-formats.ts';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, run, spread, type Kernel } from '../kernel.ts';
import type { Operand } from './operands.ts';
import { HALF } from './quantize.ts';
import { fourText, isInBlocks, scaleNumbers } from './weight-formats.ts';

// Lines of a product as 8-bit integers (engine/integer-product.ts has the same numbers in f32): four to a word, filled up with 0 to whole
// blocks of 32, and a scale and what is added, (d, m) of d q + m, for every part of a line.

const BLOCK = 32;
const THREADS = 64;

export interface IntegerLines {
  /** [lines, words], of four integers each */
  words: Tensor2D;
  /** [lines, 2 * parts] */
  scales: Tensor2D;
  /** numbers of a part */
  part: 16 | 32;
}

export function emptyLines(backend: Backend, count: number, width: number, part: 16 | 32): IntegerLines {
  const blocks = Math.ceil(width / BLOCK);
  return {
    words: empty<Tensor2D>(backend, [count, (blocks * BLOCK) / 4], 'int32'),
    scales: empty<Tensor2D>(backend, [count, (blocks * BLOCK * 2) / part]),
    part,
  };
}

export interface Rounding {
  /** the matrix [rows, columns] as it lies, and its buffer; a line is a row of it, or with `turned` a column */
  operand: Operand;
  tensor: TensorInfo;
  rows: number;
  columns: number;
  turned: boolean;
  /** scales are in f16, as GGUF's Q8_0 has them */
  asQ8: boolean;
}

/** Scale of a block, and what its numbers are to be multiplied by: `most` are the bits of its largest magnitude, of which none is the largest. */
const SCALE = (asQ8: boolean) => `${HALF}
fn scaleOf(most: u32) -> vec2f {
  if (most >= 0x7f800000u) { return vec2f(bitcast<f32>(0x7fc00000u | most), 0.0); } // what is no number stays none
  let largest = bitcast<f32>(most);
  ${
    asQ8
      ? `let d = largest / 127.0;
  if (d == 0.0) { return vec2f(0.0); }
  return vec2f(unpack2x16float(half(d)).x, 1.0 / d);`
      : `if (largest < ${2 ** -100}) { return vec2f(0.0); }
  return vec2f(largest / 127.0, 127.0 / largest);`
  }
}`;

/** A thread has a block of a line, or of four lines beside each other where they are turned: eight fours, or 32 of one of each. */
function roundingKernel({ operand, turned, asQ8 }: Rounding): Kernel {
  const [count, place] = turned
    ? [BLOCK, { row: 'block * 32u + i', column: 'line' }]
    : [BLOCK / 4, { row: 'line', column: 'block * 32u + i * 4u' }];
  const line = turned ? 4 : 1;
  const store = turned
    ? `for (var n = 0u; n < min(4u, p.lines - line); n++) {
    let scale = scaleOf(most[n]);
    for (var i = 0u; i < 8u; i++) {
      let four = vec4f(numbers[4u * i][n], numbers[4u * i + 1u][n], numbers[4u * i + 2u][n], numbers[4u * i + 3u][n]);
      words[((line + n) * p.blocks + block) * 8u + i] = pack4xI8(vec4i(round(four * scale.y)));
    }
    scales[(line + n) * p.blocks + block] = vec2f(scale.x, 0.0);
  }`
    : `let scale = scaleOf(max(max(most.x, most.y), max(most.z, most.w)));
  for (var i = 0u; i < 8u; i++) {
    words[(line * p.blocks + block) * 8u + i] = pack4xI8(vec4i(round(numbers[i] * scale.y)));
  }
  scales[line * p.blocks + block] = vec2f(scale.x, 0.0);`;
  return {
    name: `roundedLines ${operand.name} ${turned} ${asQ8}`,
    reads: operand.buffers,
    writes: { words: 'u32', scales: 'vec2f' },
    params: { rows: 'u32', columns: 'u32', lines: 'u32', blocks: 'u32' },
    code: `${operand.read('readFour', 'p.rows', 'p.columns')}
${SCALE(asQ8)}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let index = flat(group, groups) * ${THREADS}u + thread;
  // neighbouring threads read what lies side by side
  let groupsOfLines = (p.lines + ${line - 1}u) / ${line}u;
  if (index >= groupsOfLines * p.blocks) { return; }
  let line = ${turned ? 'index % groupsOfLines * 4u' : 'index / p.blocks'};
  let block = ${turned ? 'index / groupsOfLines' : 'index % p.blocks'};
  var numbers: array<vec4f, ${count}>;
  var most = vec4u(0u);
  for (var i = 0u; i < ${count}u; i++) {
    numbers[i] = readFour(${place.row}, ${place.column});
    most = max(most, bitcast<vec4u>(numbers[i]) & vec4u(0x7fffffffu));
  }
  ${store}
}`,
  };
}

/** A matrix's lines, rounded by blocks of 32. */
export function roundedLines(backend: Backend, rounding: Rounding): IntegerLines {
  const { tensor, rows, columns, turned } = rounding;
  const [count, width] = turned ? [columns, rows] : [rows, columns];
  const made = emptyLines(backend, count, width, BLOCK);
  const blocks = Math.ceil(width / BLOCK);
  const threads = Math.ceil(count / (turned ? 4 : 1)) * blocks;
  const params = [rows, columns, count, blocks];
  run(
    backend,
    roundingKernel(rounding),
    [tensor],
    [made.words, made.scales],
    params,
    spread(Math.ceil(threads / THREADS)),
  );
  return made;
}

/** A thread four numbers. */
function blocksKernel(format: WeightFormat): Kernel {
  if (!isInBlocks(format)) throw new Error(`${format} is not in blocks`);
  const part = scaleNumbers(format);
  return {
    name: `integerLines ${format}`,
    reads: { weight: 'u32' },
    writes: { words: 'u32', scales: 'vec2f' },
    params: { rows: 'u32', columns: 'u32' },
    code: `${fourText(format, 'weight')}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let i = flat(group, groups) * ${THREADS}u + thread;
  let fours = p.columns / 4u;
  if (i >= p.rows * fours) { return; }
  let column = i % fours * 4u;
  let some = four(i / fours, column, p.columns);
  words[i] = pack4xI8(vec4i(some.quants));
  if (column % ${part}u == 0u) { scales[i / ${part / 4}u] = some.scale; }
}`,
  };
}

/** The rows of a matrix in blocks, whose numbers are integers already. */
export function integerLines(
  backend: Backend,
  tensor: TensorInfo,
  format: WeightFormat,
  rows: number,
  columns: number,
): IntegerLines {
  const made = emptyLines(backend, rows, columns, scaleNumbers(format));
  const groups = spread(Math.ceil((rows * columns) / 4 / THREADS));
  run(backend, blocksKernel(format), [tensor], [made.words, made.scales], [rows, columns], groups);
  return made;
}
