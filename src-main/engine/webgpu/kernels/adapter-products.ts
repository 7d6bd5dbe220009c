import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { empty } from '../kernel.ts';
import { floats } from './operands.ts';
import { product } from './product.ts';

/** y + scale * a b: a [tokens, inner], b [inner, columns]. */
export function productAdd(backend: Backend, y: Tensor2D, a: Tensor2D, b: Tensor2D, scale: number): Tensor2D {
  const [inner, columns] = b.shape;
  const out = empty<Tensor2D>(backend, y.shape);
  product(
    backend,
    {
      left: floats('a', inner),
      leftAlong: 'inner',
      right: floats('b', columns),
      rightAlong: 'outer',
      addend: 'other',
    },
    [a, b, y],
    [out],
    { rows: a.shape[0], columns, inner, scale },
  );
  return out;
}

/** a^T b [blocks * rank, columns] by blocks of rows; a block with active = 0 costs nothing and is 0. */
export function blockProduct(backend: Backend, a: Tensor2D, b: Tensor2D, active: Tensor1D): Tensor2D {
  const [inner, rows] = a.shape;
  const columns = b.shape[1];
  const out = empty<Tensor2D>(backend, [rows, columns]);
  product(
    backend,
    { left: floats('a', rows), leftAlong: 'outer', right: floats('b', columns), rightAlong: 'outer', flagged: true },
    [a, b, active],
    [out],
    { rows, columns, inner, rank: rows / active.size },
  );
  return out;
}
