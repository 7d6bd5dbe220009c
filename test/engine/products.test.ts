import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import '../../src-main/engine/gradients.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { stepCompiler } from '../../src-main/engine/tensorflow/open-compiler.ts';

beforeAll(() => openEngine('tensorflow'));

/** The largest error of an f32 product's entries in units of sum |a b|, against a sum in double precision. */
function furthest(product: Float32Array, a: Float32Array, b: Float32Array, m: number, k: number, n: number): number {
  let most = 0;
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      let size = 0;
      for (let t = 0; t < k; t++) {
        const term = a[i * k + t]! * b[t * n + j]!;
        sum += term;
        size += Math.abs(term);
      }
      most = Math.max(most, Math.abs(product[i * n + j]! - sum) / size);
    }
  return most;
}

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
  for (const product of await graph.run(values))
    expect(furthest(product, values[0]!, values[1]!, m, k, n)).toBeLessThan(3e-6);
});
