import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { attention } from '../../src-main/engine/attention.ts';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import { frozenProduct, packedKernels } from '../../src-main/engine/frozen.ts';
import { activated, gated, layerNorm, productAdd, rmsNorm } from '../../src-main/engine/fused.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { withIntegerProducts } from '../../src-main/engine/integer-product.ts';
import { PackedMatrix } from '../../src-main/engine/packed.ts';
import { GraphBuilder } from '../../src-main/engine/tensorflow/graph-builder.ts';
import { largestDifference } from '../models/support.ts';

const F32 = 0;
/** Rows of two examples, one of which is padded; no multiple of what kernels take together. */
const [ROWS, LENGTH, WIDTH, OUT] = [2, 67, 96, 40];
const TOKENS = ROWS * LENGTH;
const SEGMENTS = Int32Array.from({ length: TOKENS }, (_, t) => (t % LENGTH < 30 ? 0 : t % LENGTH < 60 ? 1 : -1));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-writers-'));
const wave = (length: number, pace: number) => Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * pace));
let matrix: PackedMatrix;

beforeAll(async () => {
  await openEngine('tensorflow');
  const file = path.join(folder, 'weight');
  fs.writeFileSync(file, new Uint8Array(wave(OUT * WIDTH, 0.37).buffer));
  const source = { path: file, offset: 0, format: F32, rows: OUT, width: WIDTH };
  matrix = await PackedMatrix.load(packedKernels()!, source, F32);
});
afterAll(() => {
  matrix.dispose();
  fs.rmSync(folder, { recursive: true });
});

/** A step with these outputs, and the names of the operations that its graph was built of. */
async function compiled(feeds: Tensor[], outputs: () => Tensor[]) {
  const added = vi.spyOn(GraphBuilder.prototype, 'add');
  const step = await stepCompiler()!.compile({
    ...{ feeds, state: [], precision: 'f32' },
    step: () => ({ outputs: outputs(), updates: [] }),
  });
  const names = added.mock.calls.map(([name]) => name);
  added.mockRestore();
  return { step, names };
}

type Writer = (x: Tensor2D, other: Tensor2D, line: Tensor1D, segments: Tensor1D) => Tensor2D;
const attend =
  (heads: number): Writer =>
  (x, other, _, segments) =>
    attention(x, other, x, segments, { length: LENGTH, heads, keyValueHeads: heads, scale: 0.3 });
const WRITERS: [name: string, operations: string[], write: Writer][] = [
  ['rmsNorm', ['StudioRmsNormRounded'], (x, _, line) => rmsNorm(x, line, 1e-5)],
  ['layerNorm', ['StudioLayerNormRounded'], (x, _, line) => layerNorm(x, { weight: line, bias: line }, 1e-5)],
  ['a gate', ['StudioGatedRounded'], (x, other) => gated(x, other, 'silu')],
  ['an activation', ['StudioActivationRounded'], (x) => activated(x, 'gelu_tanh')],
  ['attention, heads of whole blocks', ['StudioAttentionRounded'], attend(3)],
  ['attention, heads that end amid a block', ['StudioAttentionRounded'], attend(4)],
];

// Eager code rounds what it reads from memory, when it multiplies.
it.each(WRITERS)('%s rounds its rows as the product would have: the same bits', async (_, operations, write) => {
  const values = [wave(TOKENS * WIDTH, 1.7), wave(TOKENS * WIDTH, 2.3), wave(WIDTH, 0.7), SEGMENTS];
  const feeds: Tensor[] = [
    ...values.slice(0, 2).map((each) => tf.tensor2d(each, [TOKENS, WIDTH])),
    ...[tf.tensor1d(values[2]!), tf.tensor1d(SEGMENTS, 'int32')],
  ];
  const product = () => {
    const [x, other, line, segments] = feeds as [Tensor2D, Tensor2D, Tensor1D, Tensor1D];
    return withIntegerProducts(() => frozenProduct(write(x, other, line, segments), matrix));
  };
  const { step, names } = await compiled(feeds, () => [product()]);
  expect(names).toEqual(expect.arrayContaining([...operations, 'StudioRoundedProduct']));
  expect(names).not.toContain('StudioRounded');
  const [output] = await step.run(values);
  expect(output).toEqual(product().dataSync());
});

it('what no such operation writes is rounded once for all of its products', async () => {
  const values = wave(TOKENS * WIDTH, 1.7);
  const x = tf.tensor2d(values, [TOKENS, WIDTH]);
  const twice = () => withIntegerProducts(() => [frozenProduct(x, matrix), frozenProduct(x, matrix)]);
  const { step, names } = await compiled([x], twice);
  expect(names.filter((name) => name === 'StudioRounded')).toHaveLength(1);
  expect(names.filter((name) => name === 'StudioRoundedProduct')).toHaveLength(2);
  const outputs = await step.run([values]);
  expect(outputs).toEqual(twice().map((tensor) => tensor.dataSync()));
});

it('what has few tokens goes into all of its products in one operation, as it is', async () => {
  const values = wave(5 * WIDTH, 1.7);
  const x = tf.tensor2d(values, [5, WIDTH]);
  const thrice = () => {
    const normed = rmsNorm(x, tf.ones([WIDTH]), 1e-5);
    return withIntegerProducts(() => [0, 1, 2].map(() => frozenProduct(normed, matrix)));
  };
  const { step, names } = await compiled([x], thrice);
  expect(names.filter((name) => /Integer|Rounded/.test(name))).toEqual(['StudioIntegerProduct3']);
  const outputs = await step.run([values]);
  expect(outputs).toEqual(thrice().map((tensor) => tensor.dataSync()));
});

// 5 tokens go into their product as they are
it.each([5, TOKENS])('adds a small product on its way, and one to its gradient: %i tokens', async (tokens) => {
  const [rank, scale] = [7, 0.3];
  const shapes: [number, number][] = [[tokens, WIDTH], [rank, WIDTH], [rank, OUT], [tokens, OUT]]; // prettier-ignore
  const values = shapes.map(([rows, columns], i) => wave(rows * columns, 1.3 + i));
  const feeds = values.map((each, i) => tf.tensor2d(each, shapes[i]));
  /** An adapted linear, and its gradients: x sees W and A at once. */
  const all = () => {
    const [x, a, b, direction] = feeds as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
    const adapted = (input: Tensor2D, left: Tensor2D, right: Tensor2D) =>
      withIntegerProducts(() =>
        productAdd(frozenProduct(input, matrix), tf.matMul(input, left, false, true), right, scale),
      );
    const gradients = tf.grads((...args) =>
      tf.sum(tf.mul(adapted(...(args as [Tensor2D, Tensor2D, Tensor2D])), direction)),
    );
    return [adapted(x, a, b), ...withIntegerProducts(() => gradients([x, a, b]))];
  };
  const { step, names } = await compiled(feeds, all);
  // sums below 4096 numbers are left to TensorFlow
  const expected = tokens === TOKENS ? 2 : 1;
  expect(names.filter((name) => name === 'StudioRoundedProductAdd')).toHaveLength(expected);
  const outputs = await step.run(values);
  all().forEach((eager, i) => expect(largestDifference(outputs[i]!, eager.dataSync())).toBeLessThan(1e-5));
});
