import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import { linearCrossEntropy } from '../../src-main/engine/cross-entropy.ts';
import { frozenProduct } from '../../src-main/engine/frozen.ts';
import { integerLossInPieces } from '../../src-main/engine/integer-loss.ts';
import { integerProductComposed, withIntegerProducts } from '../../src-main/engine/integer-product.ts';
import type { PackedKernels, PackedMatrix } from '../../src-main/engine/packed.ts';
import { productInPieces, tensorInPieces } from '../../src-main/engine/product-in-pieces.ts';
import { largestDifference } from '../models/support.ts';
import { cpuKernels } from '../support/cpu-kernels.ts';
import { matrixOf, TYPES, wave } from '../support/every-type.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';

let own: PackedKernels;
beforeAll(async () => void (own = cpuKernels(await openGpuConfiguration())));

const TOKENS = 5;

/** Product and its gradient, the loss and its gradient, in integers. */
const all = (weight: PackedMatrix | Tensor2D, x: Tensor2D, dy: Tensor2D, labels: Tensor1D): Tensor[] =>
  withIntegerProducts(() => {
    const product = (input: Tensor) => frozenProduct(input as Tensor2D, weight);
    const loss = (input: Tensor) => linearCrossEntropy(input as Tensor2D, weight, true, labels);
    return [product(x), tf.grad(product)(x, dy), loss(x), tf.grad(loss)(x)];
  });

/** The same by the processor's kernels. */
const allOfCpu = (weight: PackedMatrix, x: Tensor2D, dy: Tensor2D, labels: Tensor1D): Tensor[] => [
  own.integerProduct(x, weight, false),
  own.integerProduct(dy, weight, true),
  ...own.integerLoss(x, weight, labels),
];

const numbers = (tensors: Tensor[]) => tensors.map((tensor) => Float32Array.from(tensor.dataSync()));
// An exponential's last bit may move a number of the logits' gradient over a rounding's edge.
const NEAR = [2e-6, 2e-6, 1e-5, 1e-3];

describe.each(TYPES)('%s in its blocks, as a GPU holds it', (type) => {
  it('has in integers the numbers of the processor’s kernels, eagerly and compiled', async () => {
    const { weight, plain } = await matrixOf(type);
    const [rows, width] = plain.shape;
    // Between what an f32 product gives and this lie about 1e-2.
    const given = [wave(TOKENS * width, 0.7), wave(TOKENS * rows, 1.3), Int32Array.of(1, -1, 0, rows - 1, 1)] as const;
    const feeds = () =>
      [
        tf.tensor2d(given[0], [TOKENS, width]),
        tf.tensor2d(given[1], [TOKENS, rows]),
        tf.tensor1d(given[2], 'int32'),
      ] as const;
    const expected = numbers(allOfCpu((await matrixOf(type, { kernels: own })).weight, ...feeds()));
    const eager = numbers(all(weight, ...feeds()));
    const [x, dy, labels] = feeds();
    const graph = await stepCompiler()!.compile({
      ...{ feeds: [x, dy, labels], state: [], precision: 'f32', owner: weight },
      step: () => ({ outputs: all(weight, x, dy, labels), updates: [] }),
    });
    const compiled = await graph.run([...given]);
    const inF32 = numbers([frozenProduct(x, weight), tf.grad((a) => frozenProduct(a as Tensor2D, weight))(x, dy)]);
    expected.forEach((wanted, i) => {
      expect(largestDifference(eager[i]!, wanted), `eager ${i}`).toBeLessThan(NEAR[i]!);
      expect(largestDifference(compiled[i]!, wanted), `compiled ${i}`).toBeLessThan(NEAR[i]!);
    });
    inF32.forEach((other, i) => expect(largestDifference(other, expected[i]!)).toBeGreaterThan(5e-4));
    weight.dispose();
  });
});

it('has the same numbers in pieces as in the whole, also where neither is a multiple of a block', () => {
  const [rows, width] = [300, 50];
  const weight = tf.randomNormal<tf.Rank.R2>([rows, width], 0, 0.5, 'float32', 1);
  const [x, dy] = [tf.randomNormal<tf.Rank.R2>([7, width], 0, 1, 'float32', 2), tf.randomNormal<tf.Rank.R2>([7, rows], 0, 1, 'float32', 3)]; // prettier-ignore
  for (const [factor, gradient] of [
    [x, false],
    [dy, true],
  ] as const) {
    const multiply = (a: Tensor2D, w: Tensor2D, back: boolean) => integerProductComposed(a, w, back, false);
    const pieces = productInPieces(factor, tensorInPieces(weight), gradient, multiply, 64 * width);
    const whole = integerProductComposed(factor, weight, gradient, false);
    expect(largestDifference(pieces.dataSync(), whole.dataSync())).toBeLessThan(1e-6);
  }
  const labels = tf.tensor1d([0, 299, -1, 63, 64, 128, 5], 'int32');
  const loss = (words: number) => numbers(integerLossInPieces(x, tensorInPieces(weight), false, labels, words));
  const [some, once] = [loss(64), loss(512)];
  expect(largestDifference(some[0]!, once[0]!)).toBeLessThan(1e-6);
  expect(largestDifference(some[1]!, once[1]!)).toBeLessThan(1e-3);
});

it('has the loss that softmax of rounded logits has, and the rounded gradient of it', () => {
  const [rows, width] = [100, 64];
  const weight = tf.randomNormal<tf.Rank.R2>([rows, width], 0, 0.5, 'float32', 4);
  const x = tf.randomNormal<tf.Rank.R2>([3, width], 0, 1, 'float32', 5);
  const labels = [7, -1, 99];
  const [loss, dx] = numbers(integerLossInPieces(x, tensorInPieces(weight), false, tf.tensor1d(labels, 'int32'), 32));
  const logits = integerProductComposed(x, weight, false, false).arraySync() as number[][];
  let expected = 0;
  const dLogits = logits.map((row, token) => {
    const label = labels[token]!;
    const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
    if (label >= 0) expected -= row[label]! - Math.log(total);
    return row.map((value, word) => (label < 0 ? 0 : Math.exp(value) / total - (word === label ? 1 : 0)));
  });
  expect(loss![0]).toBeCloseTo(expected, 4);
  const wanted = integerProductComposed(tf.tensor2d(dLogits), weight, true, false).dataSync();
  expect(largestDifference(dx!, wanted)).toBeLessThan(1e-3);
});
