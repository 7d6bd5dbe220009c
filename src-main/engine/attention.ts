import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fusedKernels, type AttentionOptions, type FusedKernels } from './fused-kernels.ts';

/**
 * softmax(scale * q k^T) v over the keys each query sees. q [tokens, heads * size], k and v [tokens, keyValueHeads * size],
 * segments [tokens] int32: which packed example a token belongs to; reach [tokens] int32: the last token of its row that each sees,
 * itself where there is none. The composition, which alone knows `reach`, holds whole score matrices.
 */
export function attention(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  segments: Tensor1D,
  options: AttentionOptions,
  reach?: Tensor1D,
): Tensor2D {
  const kernels = fusedKernels();
  if (!kernels || reach) return attentionComposed(q, k, v, segments, options, reach);
  return fusedAttention(kernels, q, k, v, segments, options);
}

/** Attention by the engine's own kernels, forward and backward. */
export function fusedAttention(
  kernels: FusedKernels,
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  segments: Tensor1D,
  options: AttentionOptions,
): Tensor2D {
  return tf.customGrad((...args) => {
    const [q2, k2, v2, save] = args as unknown as [Tensor2D, Tensor2D, Tensor2D, tf.GradSaveFunc];
    const [out, logSums] = kernels.attention(q2, k2, v2, segments, options);
    save([q2, k2, v2, segments, out, logSums]);
    return {
      value: out,
      gradFunc: (dy: Tensor, saved: Tensor[]) => kernels.attentionGrad(saved, dy as Tensor2D, options),
    };
  })(q, k, v) as Tensor2D;
}

function attentionComposed(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  segments: Tensor1D,
  { length: rowLength, heads, keyValueHeads, scale, window }: AttentionOptions,
  reach?: Tensor1D,
): Tensor2D {
  return tf.tidy(() => {
    const length = rowLength || q.shape[0];
    const rows = q.shape[0] / length;
    const size = q.shape[1] / heads;
    const group = heads / keyValueHeads;
    const split = (x: Tensor2D, count: number) =>
      tf.transpose(tf.reshape(x, [rows, length, count, size]), [0, 2, 1, 3]);
    const grouped = tf.reshape(split(q, heads), [rows, keyValueHeads, group * length, size]);
    const scores = tf.mul(tf.matMul(grouped, split(k, keyValueHeads), false, true), scale);
    const mask = tf.mul(tf.sub(1, visibleKeys(segments, rows, length, window, reach)), -1e9);
    const masked = tf.add(tf.reshape(scores, [rows, keyValueHeads, group, length, length]), mask);
    const weights = tf.reshape(tf.softmax(masked), [rows, keyValueHeads, group * length, length]);
    const out = tf.reshape(tf.matMul(weights, split(v, keyValueHeads)), [rows, heads, length, size]);
    return tf.reshape(tf.transpose(out, [0, 2, 1, 3]), [rows * length, heads * size]);
  });
}

/** 1 where a query sees a key, [rows, 1, 1, length, length] */
function visibleKeys(segments: Tensor1D, rows: number, length: number, window?: number, reach?: Tensor1D): Tensor {
  const index = tf.range(0, length, 1, 'int32');
  const distance = tf.sub(tf.expandDims(index, 1), tf.expandDims(index, 0));
  let seen: Tensor = reach ? tf.lessEqual(index, tf.reshape(reach, [rows, length, 1])) : tf.greaterEqual(distance, 0);
  if (window !== undefined) seen = tf.logicalAnd(seen, tf.less(distance, window));
  const segment = tf.reshape(segments, [rows, length]);
  const together = tf.equal(tf.expandDims(segment, 2), tf.expandDims(segment, 1));
  return tf.cast(tf.reshape(tf.logicalAnd(together, seen), [rows, 1, 1, length, length]), 'float32');
}
