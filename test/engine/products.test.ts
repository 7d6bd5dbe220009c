import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import '../../src-main/engine/gradients.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { stepCompiler } from '../../src-main/engine/compiler.ts';

beforeAll(() => openEngine('tensorflow'));

/** Entries of a product in double precision, and each one's sum |a b|. */
function inDouble(a: Float32Array, b: Float32Array, m: number, k: number, n: number) {
  const [sums, sizes] = [new Float64Array(m * n), new Float64Array(m * n)];
  for (let i = 0; i < m; i++)
    for (let t = 0; t < k; t++)
      for (let j = 0; j < n; j++) {
        const term = a[i * k + t]! * b[t * n + j]!;
        sums[i * n + j]! += term;
        sizes[i * n + j]! += Math.abs(term);
      }
  return { sums, sizes };
}

/** The largest error of an f32 product's entries in units of sum |a b|. */
const furthest = (product: Float32Array, { sums, sizes }: ReturnType<typeof inDouble>) =>
  product.reduce((most, entry, i) => Math.max(most, Math.abs(entry - sums[i]!) / sizes[i]!), 0);

// wider, higher and deeper than what one thread takes at a time; few rows; few columns; rows enough to share: none a multiple of a tile's 16 or 32
it.each([
  [150, 900, 410],
  [21, 1030, 300],
  [300, 1700, 19],
  [290, 400, 470],
])('multiplies [%i, %i] by [%i] columns as a sum in double does, to 3 millionths of its terms', async (m, k, n) => {
  const a = tf.randomNormal<tf.Rank.R2>([m, k], 0, 1, 'float32', 1);
  const b = tf.randomNormal<tf.Rank.R2>([k, n], 0, 1, 'float32', 2);
  const feeds = [a, b, tf.transpose(a), tf.transpose(b)] as Tensor2D[];
  const values = feeds.map((feed) => Float32Array.from(feed.dataSync()));
  const [x, y, xDown, yDown] = feeds as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
  const products = [
    () => tf.matMul(x, y),
    () => tf.matMul(x, yDown, false, true),
    () => tf.matMul(xDown, y, true),
    () => tf.matMul(xDown, yDown, true, true),
  ];
  const step = () => ({ outputs: products.map((product) => product()), updates: [] });
  const graph = await stepCompiler()!.compile({ feeds, state: [], step, precision: 'f32' });
  const expected = inDouble(values[0]!, values[1]!, m, k, n);
  const found = await graph.run(values);
  expect(found.map(({ length }) => length)).toEqual([m * n, m * n, m * n, m * n]);
  for (const product of found) expect(furthest(product, expected)).toBeLessThan(3e-6);
});
