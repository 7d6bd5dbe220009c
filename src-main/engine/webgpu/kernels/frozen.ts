import type { Tensor2D, TensorInfo } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { view } from '../kernel.ts';
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

/** x W^T with a gradient to x only. */
export function frozenLinear(backend: Backend, x: Tensor2D, weight: FrozenMatrix): Tensor2D {
  const make = (shape: [number, number], write: (out: Tensor2D) => void) => {
    const out = tf.engine().makeTensorFromTensorInfo(backend.makeTensorInfo(shape, 'float32'), backend) as Tensor2D;
    write(out);
    return out;
  };
  return tf.customGrad((input) => ({
    value: make([x.shape[0], weight.rows], (y) => frozenProduct(backend, input as Tensor2D, weight, y)),
    gradFunc: (dy) =>
      make([x.shape[0], weight.columns], (dx) => frozenProductGrad(backend, dy as Tensor2D, weight, dx)),
  }))(x) as Tensor2D;
}
