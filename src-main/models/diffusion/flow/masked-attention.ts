import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { fullAttention } from '../../../engine/full-attention.ts';

/** Features that a head is made wider by: engines go through heads by 16 features, on matrix units by 32. */
const moreFor = (size: number): number => (size % 32 === 0 ? 32 : 16);

/**
 * softmax(q k^T / sqrt(size)) v where every query sees all keys of its row but the hidden ones. One more feature of a head does that, which is
 * 1 in queries and very negative in hidden keys: so the engine's attention serves, and whole score matrices are never made.
 * q, k, v [rows * tokens, heads * size].
 * @param shown of each key 1, or 0 where none sees it, [rows * tokens, 1]
 */
export function maskedAttention(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  shown: Tensor2D,
  rows: number,
  heads: number,
): Tensor2D {
  const [tokens, width] = q.shape;
  const size = width / heads;
  const added = moreFor(size);
  return tf.tidy(() => {
    const wider = (x: Tensor2D, first: tf.Tensor) => {
      const more = tf.pad(tf.reshape(first, [-1, 1, 1]), [[0, 0], [0, 0], [0, added - 1]]); // prettier-ignore
      const all = tf.mul(more, tf.ones([tokens, heads, added]));
      return tf.reshape(tf.concat([tf.reshape(x, [tokens, heads, size]), all], 2), [tokens, heads * (size + added)]) as Tensor2D; // prettier-ignore
    };
    // The engine divides by the root of the wider head.
    const queries = tf.mul<Tensor2D>(q, Math.sqrt((size + added) / size));
    const seen = fullAttention(
      wider(queries, tf.ones([1])),
      wider(k, tf.mul(tf.sub(1, shown), HIDDEN)),
      wider(v, tf.zeros([1])),
      rows,
      heads,
    );
    const own = tf.slice(tf.reshape(seen, [tokens, heads, size + added]) as Tensor3D, [0, 0, 0], [tokens, heads, size]);
    return tf.reshape(own, [tokens, width]);
  });
}

/** Its exponential is 0 in f32, whatever a score adds. */
const HIDDEN = -1e6;
