import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fusedKernels } from './fused-kernels.ts';
import { inIntegers, integerProductComposed } from './integer-product.ts';
import { PackedMatrix, type FrozenMatrix, type PackedKernels } from './packed.ts';
import { productInPieces, tensorInPieces } from './product-in-pieces.ts';

const registry = new Map<string, PackedKernels>();

/** Products with packed matrices of an engine that has no kernels of its own, under its tfjs backend's name. */
export function registerPackedKernels(backendName: string, kernels: PackedKernels): void {
  registry.set(backendName, kernels);
}

/** The engine's kernels for packed matrices, where it has some. */
export function packedKernels(): PackedKernels | undefined {
  return fusedKernels()?.packed ?? registry.get(tf.getBackend());
}

/** The kernels that packed matrices are used with: whoever holds one has loaded it with them. */
function kernelsOf(): PackedKernels {
  return packedKernels()!;
}

/** x W^T: x [tokens, width] -> [tokens, rows]. W gets no gradient. */
export function frozenProduct(x: Tensor2D, weight: FrozenMatrix): Tensor2D {
  const isInteger = inIntegers();
  if (!(weight instanceof PackedMatrix) && !isInteger) return tf.matMul(x, weight, false, true);
  const product = isInteger ? integerProductWith(weight) : productWith(weight as PackedMatrix);
  return tf.customGrad((input) => ({
    value: product(input as Tensor2D, false),
    gradFunc: (dy: tf.Tensor) => product(dy as Tensor2D, true),
  }))(x) as Tensor2D;
}

/** x W^T + bias: x [tokens, width], bias [rows] -> [tokens, rows]. Neither W nor the bias gets a gradient. */
export function frozenLinear(x: Tensor2D, weight: FrozenMatrix, bias?: Tensor1D): Tensor2D {
  const linear = weight instanceof PackedMatrix && !inIntegers() && kernelsOf().linear;
  if (!bias || !linear)
    return bias ? tf.tidy(() => tf.add<Tensor2D>(frozenProduct(x, weight), bias)) : frozenProduct(x, weight);
  return tf.customGrad((input) => ({
    value: linear(input as Tensor2D, weight, bias),
    gradFunc: (dy: tf.Tensor) => kernelsOf().product(dy as Tensor2D, weight, true),
  }))(x) as Tensor2D;
}

/** x W^T, or x W with `gradient` */
type Product = (x: Tensor2D, gradient: boolean) => Tensor2D;

const productWith =
  (weight: PackedMatrix): Product =>
  (x, gradient) =>
    kernelsOf().product(x, weight, gradient);

/** The engine's own product in integers with what is packed, else the composed one. */
function integerProductWith(weight: FrozenMatrix): Product {
  if (weight instanceof PackedMatrix) return (x, gradient) => kernelsOf().integerProduct(x, weight, gradient);
  return (x, gradient) =>
    tf.tidy(() =>
      productInPieces(x, tensorInPieces(weight), gradient, (...factors) => integerProductComposed(...factors, false)),
    );
}

/** W[ids] [ids, width] */
export function frozenRows(weight: FrozenMatrix, ids: Tensor1D): Tensor2D {
  return weight instanceof PackedMatrix ? kernelsOf().rows(ids, weight) : (tf.gather(weight, ids) as Tensor2D);
}

/** W^T [width, rows] in f32; the caller disposes it. */
export function frozenTransposed(weight: FrozenMatrix): Tensor2D {
  return tf.tidy(() => tf.transpose(weight instanceof PackedMatrix ? kernelsOf().unpack(weight) : weight));
}
