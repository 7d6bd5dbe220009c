import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fusedKernels, type AttentionOptions } from './fused-kernels.ts';

/**
 * softmax(scale * q k^T) v over the keys each query sees. q [tokens, heads * size], k and v [tokens, keyValueHeads * size], or
 * [rows * keyLength, ...]; segments [tokens] int32: which packed example a token belongs to, absent: each row is one; reach [tokens]
 * int32, of causal attention: the last token of its row that each sees, itself where there is none. The composition, which alone
 * knows `reach`, holds whole score matrices.
 */
export function attention(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  segments: Tensor1D | undefined,
  options: AttentionOptions,
  reach?: Tensor1D,
): Tensor2D {
  const kernels = fusedKernels();
  if (!kernels || reach) return attentionComposed(q, k, v, segments, options, reach);
  const places = segments ?? tf.zeros<tf.Rank.R1>([q.shape[0]], 'int32');
  return tf.customGrad((...args) => {
    const [q2, k2, v2, save] = args as unknown as [Tensor2D, Tensor2D, Tensor2D, tf.GradSaveFunc];
    const [out, logSums] = kernels.attention(q2, k2, v2, places, options);
    save([q2, k2, v2, places, out, logSums]);
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
  segments: Tensor1D | undefined,
  options: AttentionOptions,
  reach?: Tensor1D,
): Tensor2D {
  return tf.tidy(() => {
    const { heads, keyValueHeads, scale } = options;
    const length = options.length || q.shape[0];
    const keys = options.keyLength ?? length;
    const rows = q.shape[0] / length;
    const size = q.shape[1] / heads;
    const group = heads / keyValueHeads;
    const split = (x: Tensor2D, tokens: number, count: number) =>
      tf.transpose(tf.reshape(x, [rows, tokens, count, size]), [0, 2, 1, 3]);
    // Of q, which is smaller than the scores.
    const grouped = tf.reshape(split(tf.mul(q, scale), length, heads), [rows, keyValueHeads, group * length, size]);
    const scores = tf.matMul(grouped, split(k, keys, keyValueHeads), false, true);
    const seen = visibleKeys(segments, rows, length, options, reach);
    const weights = tf.softmax(seen ? masked(scores, seen, [rows, keyValueHeads, group, length, keys]) : scores);
    const out = tf.reshape(tf.matMul(weights, split(v, keys, keyValueHeads)), [rows, heads, length, size]);
    return tf.reshape(tf.transpose(out, [0, 2, 1, 3]), [rows * length, heads * size]);
  });
}

/** Scores with -1e9 added where `seen` is 0; `shape`: theirs with a query's heads apart. */
const masked = (scores: Tensor, seen: Tensor, shape: number[]): Tensor =>
  tf.reshape(tf.add(tf.reshape(scores, shape), tf.mul(tf.sub(1, seen), -1e9)), scores.shape);

/** 1 where a query sees a key, [rows, 1, 1, length, length]; undefined: everywhere */
function visibleKeys(
  segments: Tensor1D | undefined,
  rows: number,
  length: number,
  { causal, window, keyLength }: AttentionOptions,
  reach?: Tensor1D,
): Tensor | undefined {
  if (keyLength !== undefined || (!causal && !segments)) return undefined;
  const conditions: Tensor[] = [];
  if (causal) {
    const index = tf.range(0, length, 1, 'int32');
    const distance = tf.sub(tf.expandDims(index, 1), tf.expandDims(index, 0));
    conditions.push(reach ? tf.lessEqual(index, tf.reshape(reach, [rows, length, 1])) : tf.greaterEqual(distance, 0));
    if (window !== undefined) conditions.push(tf.less(distance, window));
  }
  if (segments) {
    const segment = tf.reshape(segments, [rows, length]);
    conditions.push(tf.equal(tf.expandDims(segment, 2), tf.expandDims(segment, 1)));
  }
  const seen = conditions.reduce((one, other) => tf.logicalAnd(one, other));
  return tf.cast(tf.reshape(seen, [-1, 1, 1, length, length]), 'float32');
}
