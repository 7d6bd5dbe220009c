import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, TensorInfo } from '@tensorflow/tfjs-core';
import { bytesOfRows, type WeightFormat } from '../../weight-formats.ts';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, run, spread, type Kernel } from '../kernel.ts';
import { floats } from './operands.ts';
import { product, type ProductSpec } from './product.ts';
import { rowScales } from './row-scales.ts';
import { quantized } from './weight-formats.ts';

/**
 * A frozen matrix [rows, columns] as it lies on the device: f32, or blocks of a model file in tensors of 32-bit words. Its rows
 * come in parts, none larger than the device binds at once.
 */
export interface FrozenMatrix {
  format: WeightFormat;
  rows: number;
  columns: number;
  parts: FrozenPart[];
}

export interface FrozenPart {
  tensor: TensorInfo;
  /** its first row */
  start: number;
  rows: number;
}

/** Parts start at rows that are a multiple of this, as gradients to them are rounded by blocks, and read four at a time. */
const BLOCK = 32;

/** Rows of a matrix that a device binds at once; bindings are never larger than buffers. */
export function mostRows(backend: Backend, format: WeightFormat, columns: number): number {
  const { maxStorageBufferBindingSize, maxBufferSize } = backend.opened.gpu.limits;
  const bytes = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  return Math.max(1, Math.floor(bytes / bytesOfRows(format, BLOCK, columns))) * BLOCK;
}

/** y = x W^T: x [tokens, columns], y [tokens, rows], which is written. */
export function frozenProduct(backend: Backend, x: Tensor2D, weight: FrozenMatrix, y: Tensor2D): void {
  const { columns, format, parts } = weight;
  const spec: ProductSpec = {
    left: floats('x', columns),
    leftAlong: 'inner',
    right: quantized(format, 'weight', columns),
    rightAlong: 'inner',
    half: backend.half,
  };
  tf.tidy(() => {
    const scales = backend.half ? [rowScales(backend, x)] : [];
    for (const { tensor, start, rows } of parts) {
      const sizes = { rows: x.shape[0], columns: rows, inner: columns, stride: weight.rows, shift: start };
      product(backend, spec, [x, tensor, ...scales], [y], sizes);
    }
  });
}

/** dx = dy W: dy [tokens, rows], dx [tokens, columns], which is written. */
export function frozenProductGrad(backend: Backend, dy: Tensor2D, weight: FrozenMatrix, dx: Tensor2D): void {
  const { rows: leftStride, columns, format, parts } = weight;
  const spec: ProductSpec = {
    left: floats('dy', leftStride, { stride: 'p.leftStride', shift: 'p.leftShift' }),
    leftAlong: 'inner',
    right: quantized(format, 'weight', columns),
    rightAlong: 'outer',
    half: backend.half,
  };
  tf.tidy(() => {
    const scales = backend.half ? [rowScales(backend, dy)] : [];
    for (const { tensor, start, rows } of parts) {
      const addend = start > 0 ? 'result' : undefined; // the parts add up
      const sizes = { rows: dy.shape[0], columns, inner: rows, leftStride, leftShift: start };
      product(backend, { ...spec, addend }, [dy, tensor, ...scales], [dx], sizes);
    }
  });
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
  if (row < p.start || row >= p.start + p.rows) { return; } // in another part
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
  for (const { tensor, start, rows: count } of weight.parts)
    run(backend, rowsKernel(format, columns), [ids, tensor], [out], [ids.size, count, columns, start], groups);
  return out;
}
