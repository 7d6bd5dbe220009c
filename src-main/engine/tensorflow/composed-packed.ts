import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { composedConvolution } from '../convolution.ts';
import { integerLossInPieces } from '../integer-loss.ts';
import { integerProductComposed } from '../integer-product.ts';
import { logProbabilitiesInPieces, lossInPieces } from '../loss-in-pieces.ts';
import type { PackedKernels, PackedMatrix } from '../packed.ts';
import { type InPieces, productInPieces } from '../product-in-pieces.ts';
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
  /** of a filter, whose channels lie one after the other with so many numbers each */
  places?: number;
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
  const bytesOf = (weight: PackedMatrix) => {
    const { words, format } = heldOf(weight);
    const [rows, columns] = weight.shape;
    const width = bytesOfRows(format, 1, columns);
    return { format, lines: bytes.reshape(bytes.bytesIn(words, rows * width), uint8, [rows, width]) };
  };
  /** rows [from, to) as f32 */
  const between = (weight: PackedMatrix, from: number, to: number): Tensor2D => {
    const { format, lines } = bytesOf(weight);
    const [rows, columns] = weight.shape;
    const some = to - from === rows ? lines : bytes.lines(lines, from, to);
    const numbers = unpacked(bytes, some, format, [to - from, columns]);
    const { places } = heldOf(weight);
    if (places === undefined) return numbers;
    return tf.reshape(tf.transpose(tf.reshape(numbers, [to - from, -1, places]), [0, 2, 1]), numbers.shape);
  };
  const numbersOf = (weight: PackedMatrix) => between(weight, 0, weight.shape[0]);
  const rows = (ids: Tensor1D, weight: PackedMatrix) =>
    tf.tidy(() => {
      const { format, lines } = bytesOf(weight);
      const [count, width] = lines.shape as [number, number];
      const halves = bytes.bitcast(bytes.reshape(lines, uint8, [count, width / 2, 2]), uint8, half);
      const chosen = bytes.bitcast(bytes.rows(halves, ids), half, uint8);
      return unpacked(bytes, chosen, format, [ids.size, weight.shape[1]]);
    });
  const inPieces = (weight: PackedMatrix): InPieces => ({
    shape: weight.shape,
    between: (from, to) => between(weight, from, to),
    rows: (ids) => rows(ids, weight),
  });
  return {
    holds: (inFile, format) => inFile === format && (formatOf(format) ?? 'f32') !== 'f32',
    async load(source, number) {
      const format = formatOf(number) as Held['format'];
      const words = await readMatrix(source, format);
      const { places } = source;
      matrices.set(++last, { words: tf.keep(tf.tensor1d(new Float32Array(words.buffer))), format, places });
      return last;
    },
    release(number) {
      matrices.get(number)?.words.dispose();
      matrices.delete(number);
    },
    product: (x, weight, gradient) => tf.tidy(() => productInPieces(x, inPieces(weight), gradient)),
    integerProduct: (x, weight, gradient) =>
      tf.tidy(() =>
        productInPieces(x, inPieces(weight), gradient, (...factors) =>
          integerProductComposed(...factors, weight.isInBlocks),
        ),
      ),
    convolution: (x, weight, told, gradient) =>
      tf.tidy(() => {
        const { kernel } = told;
        const filter = tf.reshape(tf.transpose(numbersOf(weight)), [kernel, kernel, -1, weight.shape[0]]);
        return composedConvolution(x, filter as Tensor4D, told, gradient);
      }),
    rows,
    unpack: (weight) => tf.tidy(() => numbersOf(weight)),
    loss: (x, weight, labels) => lossInPieces(x, inPieces(weight), labels),
    integerLoss: (x, weight, labels) => integerLossInPieces(x, inPieces(weight), weight.isInBlocks, labels),
    logProbabilities: (x, weight, labels) => logProbabilitiesInPieces(x, inPieces(weight), labels),
  };
}
