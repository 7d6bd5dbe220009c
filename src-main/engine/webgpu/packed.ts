import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { PackedKernels, PackedMatrix } from '../packed.ts';
import { formatOf } from '../weight-formats.ts';
import type { Backend } from './backend.ts';
import { empty } from './kernel.ts';
import { logProbabilities, loss } from './kernels/cross-entropy.ts';
import { frozenProduct, frozenProductGrad, frozenRows, type FrozenMatrix } from './kernels/frozen.ts';
import { frozenIntegerProduct, frozenIntegerProductGrad } from './kernels/integer-product.ts';
import { canHold, loadMatrix } from './load-matrix.ts';

const INTEGERS = { product: frozenIntegerProduct, productGrad: frozenIntegerProductGrad };

/** Products with frozen weights as they lie in their file, in the formats that have a kernel; f32 ones, too, which may need parts. */
export function packedWebgpuKernels(backend: Backend): PackedKernels {
  const matrices = new Map<number, FrozenMatrix>();
  const of = (weight: PackedMatrix) => matrices.get(weight.number.dataSync()[0]!)!;
  let last = 0;
  return {
    holds: canHold,
    async load(source, format) {
      matrices.set(++last, await loadMatrix(backend, source, formatOf(format)!));
      return last;
    },
    release(number) {
      tf.dispose(matrices.get(number)?.parts.map(({ tensor }) => tensor as tf.Tensor) ?? []);
      matrices.delete(number);
    },
    product(x, weight, gradient) {
      const out = empty<Tensor2D>(backend, [x.shape[0], weight.shape[gradient ? 1 : 0]]);
      (gradient ? frozenProductGrad : frozenProduct)(backend, x, of(weight), out);
      return out;
    },
    integerProduct(x, weight, gradient) {
      const out = empty<Tensor2D>(backend, [x.shape[0], weight.shape[gradient ? 1 : 0]]);
      (gradient ? frozenIntegerProductGrad : frozenIntegerProduct)(backend, x, of(weight), out);
      return out;
    },
    rows: (ids, weight) => frozenRows(backend, ids, of(weight)),
    unpack: (weight) => tf.tidy(() => frozenRows(backend, tf.range(0, weight.shape[0], 1, 'int32'), of(weight))),
    loss: (x, weight, labels) => loss(backend, x, of(weight), labels),
    integerLoss: (x, weight, labels) => loss(backend, x, of(weight), labels, INTEGERS),
    logProbabilities: (x, weight, labels) => logProbabilities(backend, x, of(weight), labels),
  };
}
