import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fusedKernels } from './fused-kernels.ts';
import { PackedMatrix, type FrozenMatrix, type PackedKernels } from './packed.ts';

/** The engine's kernels for packed matrices, where it has some. */
export function packedKernels(): PackedKernels | undefined {
  return fusedKernels()?.packed;
}

/** The kernels that packed matrices are used with: whoever holds one has loaded it with them. */
function kernelsOf(): PackedKernels {
  return packedKernels()!;
}

/** x W^T: x [tokens, width] -> [tokens, rows]. W gets no gradient. */
export function frozenProduct(x: Tensor2D, weight: FrozenMatrix): Tensor2D {
  if (!(weight instanceof PackedMatrix)) return tf.matMul(x, weight, false, true);
  return tf.customGrad((input) => ({
    value: kernelsOf().product(input as Tensor2D, weight, false),
    gradFunc: (dy: tf.Tensor) => kernelsOf().product(dy as Tensor2D, weight, true),
  }))(x) as Tensor2D;
}

/** W[ids] [ids, width] */
export function frozenRows(weight: FrozenMatrix, ids: Tensor1D): Tensor2D {
  return weight instanceof PackedMatrix ? kernelsOf().rows(ids, weight) : (tf.gather(weight, ids) as Tensor2D);
}

/** W^T [width, rows] in f32; the caller disposes it. */
export function frozenTransposed(weight: FrozenMatrix): Tensor2D {
  return tf.tidy(() => tf.transpose(weight instanceof PackedMatrix ? kernelsOf().unpack(weight) : weight));
}
