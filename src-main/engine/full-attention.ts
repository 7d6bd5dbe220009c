import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { attendedInParts, queryParts } from './attention-in-parts.ts';
import { fusedAttention } from './attention.ts';
import { fusedKernels } from './fused-kernels.ts';

/** Scores that are in memory at once: 64 MiB of them, a few times. */
const MOST_SCORES = 1 << 24;

/**
 * softmax(q k^T / sqrt(size)) v where every query sees all keys of its row. q [rows * queries, heads * size]; k and v
 * [rows * keys, heads * size]: another number of them in cross-attention.
 */
export function fullAttention(q: Tensor2D, k: Tensor2D, v: Tensor2D, rows: number, heads: number): Tensor2D {
  const kernels = fusedKernels();
  if (!kernels) return fullAttentionComposed(q, k, v, rows, heads);
  const scale = (q.shape[1] / heads) ** -0.5;
  const options = { length: q.shape[0] / rows, heads, keyValueHeads: heads, scale, keyLength: k.shape[0] / rows };
  return tf.tidy(() => fusedAttention(kernels, q, k, v, tf.zeros([1], 'int32'), options));
}

/**
 * The same of TensorFlow's own operations. Many scores are made a part of the queries at a time, and once more in backward: then q, k
 * and v are all that is kept.
 */
export function fullAttentionComposed(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  rows: number,
  heads: number,
  mostScores = MOST_SCORES,
): Tensor2D {
  const [queries, keys] = [q.shape[0] / rows, k.shape[0] / rows];
  const parts = Math.min(queries, Math.ceil((rows * heads * queries * keys) / mostScores));
  const size = q.shape[1] / heads;
  return tf.tidy(() => {
    const split = (x: Tensor2D) => tf.transpose(tf.reshape(x, [rows, -1, heads, size]), [0, 2, 1, 3]) as Tensor4D;
    // Of q, which is smaller than the scores.
    const given = [split(tf.mul(q, size ** -0.5)), split(k), split(v)] as const;
    const out = parts > 1 ? inParts(...given, parts) : attended(...given);
    return tf.reshape(tf.transpose(out, [0, 2, 1, 3]), q.shape);
  });
}

/** q, k, v and what comes out are [rows, heads, tokens, size]. */
function attended(q: Tensor4D, k: Tensor4D, v: Tensor4D): Tensor4D {
  return tf.matMul(tf.softmax(tf.matMul(q, k, false, true)), v);
}

function inParts(q: Tensor4D, k: Tensor4D, v: Tensor4D, parts: number): Tensor4D {
  const [queries, keys] = [q.shape[2], k.shape[2]];
  const each = queryParts(queries, parts).map((part) => ({ ...part, from: 0, keys }));
  return tf.squeeze(attendedInParts(tf.expandDims(q, 2), k, v, each), [2]);
}
