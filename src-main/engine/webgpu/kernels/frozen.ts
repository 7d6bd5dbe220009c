import type { Tensor1D, Tensor2D, TensorInfo } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, run, spread, view, type Kernel } from '../kernel.ts';
import { floats } from './operands.ts';
import { product } from './product.ts';
import { bytesOfRows, quantized, type WeightFormat } from './weight-formats.ts';

/** A frozen matrix [rows, columns] as it lies on the device: f32, or blocks of a model file in a tensor of 32-bit words. */
export interface FrozenMatrix {
  tensor: TensorInfo;
  format: WeightFormat;
  rows: number;
  columns: number;
}

/** Rows of the matrix that a device can bind at once; where they are not all, the product goes window by window. */
function* windows(backend: Backend, { tensor, format, rows, columns }: FrozenMatrix) {
  const { maxStorageBufferBindingSize: most, minStorageBufferOffsetAlignment: align } = backend.opened.gpu.limits;
  const whole = bytesOfRows(format, rows, columns);
  if (whole <= most) {
    yield { part: tensor, start: 0, count: rows };
    return;
  }
  // rows in portions whose bytes are a multiple of what a binding may start at
  const count = Math.max(1, Math.floor(most / bytesOfRows(format, align, columns))) * align;
  for (let start = 0; start < rows; start += count) {
    const some = Math.min(count, rows - start);
    const words = (n: number) => Math.ceil(bytesOfRows(format, n, columns) / 4);
    yield { part: view(backend, tensor, words(start), [words(some)]), start, count: some };
  }
}

/** y = x W^T: x [tokens, columns], y [tokens, rows], which is written. */
export function frozenProduct(backend: Backend, x: Tensor2D, weight: FrozenMatrix, y: Tensor2D): void {
  const { columns, format } = weight;
  for (const { part, start, count } of windows(backend, weight)) {
    product(
      backend,
      {
        left: floats('x', columns),
        leftAlong: 'inner',
        right: quantized(format, 'weight', columns),
        rightAlong: 'inner',
      },
      [x, part],
      [y],
      { rows: x.shape[0], columns: count, inner: columns, stride: weight.rows, shift: start },
    );
  }
}

/** dx = dy W: dy [tokens, rows], dx [tokens, columns], which is written. */
export function frozenProductGrad(backend: Backend, dy: Tensor2D, weight: FrozenMatrix, dx: Tensor2D): void {
  const { rows, columns, format } = weight;
  for (const { part, start, count } of windows(backend, weight)) {
    product(
      backend,
      {
        left: floats('dy', rows, { stride: 'p.leftStride', shift: 'p.leftShift' }),
        leftAlong: 'inner',
        right: quantized(format, 'weight', columns),
        rightAlong: 'outer',
        addend: start > 0 ? 'result' : undefined,
      },
      [dy, part],
      [dx],
      { rows: dy.shape[0], columns, inner: count, leftStride: rows, leftShift: start },
    );
  }
}

const THREADS = 64;

/** Some rows of a matrix, unpacked. A thread four numbers. */
const rowsKernel = (format: WeightFormat, columns: number): Kernel => {
  const matrix = quantized(format, 'weight', columns);
  return {
    name: `frozenRows ${matrix.name}`,
    reads: { ids: 'i32', ...matrix.buffers },
    writes: { out: 'f32' },
    params: { count: 'u32', rows: 'u32', columns: 'u32', start: 'u32' },
    code: `${matrix.read('readFour', 'p.rows', 'p.columns')}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let fours = (p.columns + 3u) / 4u;
  let i = flat(group, groups) * ${THREADS}u + thread;
  if (i >= p.count * fours) { return; }
  let row = u32(ids[i / fours]);
  if (row < p.start || row >= p.start + p.rows) { return; } // in another window
  let column = i % fours * 4u;
  let four = readFour(row - p.start, column);
  for (var j = 0u; j < min(4u, p.columns - column); j++) { out[i / fours * p.columns + column + j] = four[j]; }
}`,
  };
};

/** W[ids] [ids, columns] in f32. */
export function frozenRows(backend: Backend, ids: Tensor1D, weight: FrozenMatrix): Tensor2D {
  const { format, columns } = weight;
  const out = empty<Tensor2D>(backend, [ids.size, columns]);
  const groups = spread(Math.ceil((ids.size * Math.ceil(columns / 4)) / THREADS));
  for (const { part, start, count } of windows(backend, weight))
    run(backend, rowsKernel(format, columns), [ids, part], [out], [ids.size, count, columns, start], groups);
  return out;
}
