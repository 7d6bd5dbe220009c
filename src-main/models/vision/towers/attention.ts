import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';

/**
 * softmax(q k^T / sqrt(size)) v where every token sees what is not hidden of its row, before and behind it. q, k, v [rows * length, heads * size].
 * @param hidden [rows, 1, 1, length]: added to the scores of keys, -1e9 at those that nobody sees
 */
export function attendSeen(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  rows: number,
  heads: number,
  hidden: Tensor,
): Tensor2D {
  return tf.tidy(() => {
    const [tokens, width] = q.shape;
    const size = width / heads;
    const split = (x: Tensor2D) => tf.transpose(tf.reshape(x, [rows, tokens / rows, heads, size]), [0, 2, 1, 3]);
    // Of q, which is smaller than the scores.
    const scores = tf.matMul(split(tf.mul(q, size ** -0.5)), split(k), false, true);
    const out = tf.matMul(tf.softmax(tf.add(scores, hidden)), split(v));
    return tf.reshape(tf.transpose(out, [0, 2, 1, 3]), [tokens, width]) as Tensor2D;
  });
}
