import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import { linearCrossEntropy } from '../../src-main/engine/cross-entropy.ts';
import { frozenProduct, frozenRows, packedKernels } from '../../src-main/engine/frozen.ts';
import type { PackedMatrix } from '../../src-main/engine/packed.ts';
import { largestDifference } from '../models/support.ts';
import { matrixOf, TYPES, wave } from '../support/every-type.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';

beforeAll(async () => void (await openGpuConfiguration()));

/** Product, its gradient, rows, and the loss with its gradient, of tensors that a step is fed. */
function all(weight: PackedMatrix | Tensor2D, x: Tensor2D, dy: Tensor2D, ids: Tensor1D): Tensor[] {
  const product = (input: Tensor2D) => frozenProduct(input, weight);
  const loss = (input: Tensor2D) => linearCrossEntropy(input, weight, true, ids);
  return [
    product(x),
    tf.grad((input) => product(input as Tensor2D))(x, dy),
    frozenRows(weight, tf.maximum(ids, tf.scalar(0, 'int32'))),
    loss(x),
    tf.grad((input) => loss(input as Tensor2D))(x),
  ];
}

describe.each(TYPES)('%s in its blocks, as a GPU holds it', (type) => {
  it('has the numbers that it has in f32: unpacked, in products, as rows and in the loss, eagerly and compiled', async () => {
    const { weight, plain } = await matrixOf(type);
    const [rows, width] = plain.shape;
    expect(largestDifference(packedKernels()!.unpack(weight).dataSync(), plain.dataSync())).toBeLessThan(1e-6);

    const given = [wave(5 * width, 0.7), wave(5 * rows, 1.3), Int32Array.of(1, -1, 0, rows - 1, 1)] as const;
    const feeds = () =>
      [tf.tensor2d(given[0], [5, width]), tf.tensor2d(given[1], [5, rows]), tf.tensor1d(given[2], 'int32')] as const;
    const expected = all(plain, ...feeds());
    const eager = all(weight, ...feeds());
    const [x, dy, ids] = feeds();
    const graph = await stepCompiler()!.compile({
      ...{ feeds: [x, dy, ids], state: [], precision: 'f32', owner: weight },
      step: () => ({ outputs: all(weight, x, dy, ids), updates: [] }),
    });
    const compiled = await graph.run([...given]);
    expected.forEach((tensor, i) => {
      const wanted = tensor.dataSync() as Float32Array;
      expect(largestDifference(eager[i]!.dataSync(), wanted), `eager ${i}`).toBeLessThan(1e-5);
      expect(largestDifference(compiled[i]!, wanted), `compiled ${i}`).toBeLessThan(1e-5);
    });
    // What moved into the step is still there for eager code, and goes with the matrix.
    expect(largestDifference(packedKernels()!.unpack(weight).dataSync(), plain.dataSync())).toBeLessThan(1e-6);
    weight.dispose();
  });
});

it('takes a file whose rows lie in another order', async () => {
  const { plain } = await matrixOf('q8_0');
  const order = Array.from({ length: plain.shape[0] }, (_, row) => plain.shape[0] - 1 - row);
  const { weight } = await matrixOf('q8_0', { order });
  const turned = tf.reverse(plain, 0).dataSync();
  expect(largestDifference(packedKernels()!.unpack(weight).dataSync(), turned)).toBeLessThan(1e-6);
  weight.dispose();
});
