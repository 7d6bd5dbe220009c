import fs from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { MatrixSource, PackedKernels, PackedMatrix } from '../packed.ts';
import type { Backend } from './backend.ts';
import { empty } from './kernel.ts';
import { logProbabilities, loss } from './kernels/cross-entropy.ts';
import { frozenProduct, frozenProductGrad, frozenRows, type FrozenMatrix } from './kernels/frozen.ts';
import { bytesOfRows, formatOf, type WeightFormat } from './kernels/weight-formats.ts';

/** Products with frozen weights as they lie in their file, in the formats that have a kernel. */
export function packedWebgpuKernels(backend: Backend): PackedKernels {
  const matrices = new Map<number, FrozenMatrix>();
  const of = (weight: PackedMatrix) => matrices.get(weight.number.dataSync()[0]!)!;
  let last = 0;
  return {
    holds: (inFile, format) => inFile === format && formatOf(format) !== undefined,
    async load(source, format) {
      matrices.set(++last, await load(backend, source, formatOf(format)!));
      return last;
    },
    release(number) {
      (matrices.get(number)?.tensor as tf.Tensor | undefined)?.dispose();
      matrices.delete(number);
    },
    product(x, weight, gradient) {
      const out = empty<Tensor2D>(backend, [x.shape[0], weight.shape[gradient ? 1 : 0]]);
      (gradient ? frozenProductGrad : frozenProduct)(backend, x, of(weight), out);
      return out;
    },
    rows: (ids, weight) => frozenRows(backend, ids, of(weight)),
    unpack: (weight) => tf.tidy(() => frozenRows(backend, tf.range(0, weight.shape[0], 1, 'int32'), of(weight))),
    loss: (x, weight, labels) => loss(backend, x, of(weight), labels),
    logProbabilities: (x, weight, labels) => logProbabilities(backend, x, of(weight), labels),
  };
}

/** Reads a matrix's bytes from its file into the device's memory, in 32-bit words. @throws where the file ends before it does */
async function load(backend: Backend, source: MatrixSource, format: WeightFormat): Promise<FrozenMatrix> {
  const { rows, width: columns, order } = source;
  const bytes = new Uint8Array(bytesOfRows(format, rows, columns));
  const file = await fs.open(source.path);
  try {
    const { bytesRead } = await file.read(bytes, 0, bytes.length, source.offset);
    if (bytesRead < bytes.length) throw new Error(`${source.path} ends before its tensors do`);
  } finally {
    await file.close();
  }
  const words = new Int32Array(Math.ceil(bytes.length / 4));
  const target = new Uint8Array(words.buffer);
  const row = bytes.length / rows;
  if (order) order.forEach((from, to) => target.set(bytes.subarray(from * row, (from + 1) * row), to * row));
  else target.set(bytes);
  const tensor = tf.keep(tf.tensor1d(words, 'int32'));
  backend.uploadToGPU(tensor.dataId); // so that the words need not stay on the host until their first product
  return { tensor, format, rows, columns };
}
