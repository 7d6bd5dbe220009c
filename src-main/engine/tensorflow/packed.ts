import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D, TensorInfo } from '@tensorflow/tfjs-core';
import type { PackedMatrix, SequenceKernels } from '../packed.ts';
import type { Addon, Attribute } from './addon.ts';
import { attribute } from './addon.ts';
import { shapes, type NodeBackend } from './fused.ts';

const { float, int } = attribute;

/** GGML's number of f32. */
const F32 = 0;

/** Our addon's operations on packed weights and kept sequences (addon/packed-operations.cc). */
export function packedTensorflowKernels(addon: Addon, backend: NodeBackend): SequenceKernels {
  const one = <T extends Tensor>(name: string, attributes: Attribute[], inputs: TensorInfo[]) =>
    backend.executeSingleOutput(name, attributes, inputs) as T;
  const lossIn =
    (products: 'f32' | 'integers') =>
    (x: Tensor2D, weight: PackedMatrix, labels: Tensor1D): [Scalar, Tensor2D] =>
      backend.executeMultipleOutputs(
        'StudioPackedLoss',
        [int('split', 1), int('integers', products === 'integers' ? 1 : 0), shapes([], null)],
        [x, weight.number, labels],
        2,
      ) as [Scalar, Tensor2D];
  return {
    // its own products with f32 tensors are as good, where they aren't in integers
    holds: (_, format, own = false) => own || format !== F32,
    load: (source, format) => addon.loadMatrix(source, format),
    openSequence: (layers) => addon.openSequence(layers),
    release: (number) => addon.release(number),
    product: (x, weight, gradient) =>
      one<Tensor2D>(
        'StudioPackedProduct',
        [int('gradient', gradient ? 1 : 0), int('split', 1), shapes([x.shape[0], weight.shape[gradient ? 1 : 0]])],
        [x, weight.number],
      ),
    linear: (x, weight, bias) =>
      one<Tensor2D>(
        'StudioPackedLinear',
        [int('split', 1), shapes([x.shape[0], weight.shape[0]])],
        [x, weight.number, bias],
      ),
    convolution: (x, weight, { kernel, stride, before, rows, columns }, gradient) => {
      const own = { kernel, stride, before, rows, columns, gradient: gradient ? 1 : 0 };
      const channels = gradient ? weight.shape[1] / kernel ** 2 : weight.shape[0];
      const attributes = Object.entries(own).map(([name, value]) => int(name, value));
      const told = [...attributes, shapes([x.shape[0], rows, columns, channels])];
      return one<Tensor4D>('StudioConvolution', told, [x, weight.number]);
    },
    integerProduct: (x, weight, gradient) =>
      one<Tensor2D>(
        'StudioIntegerProduct',
        [int('gradient', gradient ? 1 : 0), shapes([x.shape[0], weight.shape[gradient ? 1 : 0]])],
        [x, weight.number],
      ),
    rows: (ids, weight) =>
      one<Tensor2D>('StudioPackedRows', [shapes([ids.size, weight.shape[1]])], [ids, weight.number]),
    unpack: (weight) => one<Tensor2D>('StudioUnpack', [shapes(weight.shape)], [weight.number]),
    loss: lossIn('f32'),
    integerLoss: lossIn('integers'),
    logProbabilities: (x, weight, labels) =>
      one<Tensor1D>('StudioLogProbabilities', [int('split', 1)], [x, weight.number, labels]),
    attend: (q, k, v, place, layer, options) =>
      one<Tensor2D>(
        'StudioCachedAttention',
        [
          int('heads', options.heads),
          int('key_value_heads', options.keyValueHeads),
          int('window', options.window ?? 0),
          float('scale', options.scale),
        ],
        [q, k, v, place, layer],
      ),
  };
}
