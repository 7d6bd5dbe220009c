import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';

/**
 * softmax(q k^T / sqrt(size)) v where every query sees all keys of its picture. q [pictures * queries, heads * size]; k and v
 * [pictures * keys, heads * size]: another number of them in cross-attention.
 */
export function attend(q: Tensor2D, k: Tensor2D, v: Tensor2D, pictures: number, heads: number): Tensor2D {
  return tf.tidy(() => {
    const [rows, width] = q.shape;
    const size = width / heads;
    const split = (x: Tensor2D) =>
      tf.transpose(tf.reshape(x, [pictures, x.shape[0] / pictures, heads, size]), [0, 2, 1, 3]);
    // Of q, which is smaller than the scores.
    const scores = tf.matMul(split(tf.mul(q, size ** -0.5)), split(k), false, true);
    const out = tf.matMul(tf.softmax(scores), split(v));
    return tf.reshape(tf.transpose(out, [0, 2, 1, 3]), [rows, width]) as Tensor2D;
  });
}
