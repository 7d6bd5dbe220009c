import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { composedLoss, composedLogProbabilities, plainHead } from '../cross-entropy.ts';
import type { PackedKernels, PackedMatrix } from '../packed.ts';
import { readMatrix } from '../read-matrix.ts';
import { bytesOfRows, formatOf, type WeightFormat } from '../weight-formats.ts';
import { ByteOperations, half, uint8 } from './byte-operations.ts';
import type { CompilerBackend } from './resident-tensors.ts';
import { unpacked } from './unpack.ts';

/** A matrix as it lies on the device. */
interface Held {
  /** its bytes, four to a number that is none */
  words: Tensor1D;
  format: Exclude<WeightFormat, 'f32'>;
}

/**
 * Products with frozen weights of TensorFlow's own operations, for devices that have none of ours. The weights lie there as they lie
 * in their file. Each product unpacks what it multiplies by, and backward does so again; a graph's operations run in their order
 * (lower.ts), so that one matrix's numbers exist at a time.
 */
export function composedPackedKernels(backend: CompilerBackend): PackedKernels {
  const bytes = new ByteOperations(backend);
  const matrices = new Map<number, Held>();
  const heldOf = (weight: PackedMatrix) => matrices.get(weight.number.dataSync()[0]!)!;
  let last = 0;
  const numbersOf = (weight: PackedMatrix): Tensor2D => {
    const { words, format } = heldOf(weight);
    const count = bytesOfRows(format, ...weight.shape);
    return unpacked(bytes, bytes.bytesIn(words, count), format, weight.shape);
  };
  return {
    holds: (inFile, format) => inFile === format && (formatOf(format) ?? 'f32') !== 'f32',
    async load(source, number) {
      const format = formatOf(number) as Held['format'];
      const words = await readMatrix(source, format);
      matrices.set(++last, { words: tf.keep(tf.tensor1d(new Float32Array(words.buffer))), format });
      return last;
    },
    release(number) {
      matrices.get(number)?.words.dispose();
      matrices.delete(number);
    },
    product: (x, weight, gradient) => tf.tidy(() => tf.matMul(x, numbersOf(weight), false, !gradient)),
    rows: (ids, weight) =>
      tf.tidy(() => {
        const { words, format } = heldOf(weight);
        const [rows, columns] = weight.shape;
        const width = bytesOfRows(format, 1, columns);
        const all = bytes.reshape(bytes.bytesIn(words, rows * width), uint8, [rows, width / 2, 2]);
        const halves = bytes.bitcast(all, uint8, half);
        const chosen = bytes.bitcast(bytes.rows(halves, ids), half, uint8);
        return unpacked(bytes, chosen, format, [ids.size, columns]);
      }),
    unpack: numbersOf,
    loss: (x, weight, labels) => tf.tidy(() => composedLoss(x, plainHead(numbersOf(weight), true), labels)),
    logProbabilities: (x, weight, labels) =>
      tf.tidy(() => composedLogProbabilities(x, numbersOf(weight), labels)) as Tensor1D,
  };
}
