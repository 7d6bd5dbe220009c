import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import { attendedInParts, queryParts, type QueryPart } from './attention-in-parts.ts';
import { fusedKernels, type AttentionOptions, type FusedKernels } from './fused-kernels.ts';

/**
 * softmax(scale * q k^T) v over the keys each query sees. q [tokens, heads * size], k and v [tokens, keyValueHeads * size],
 * segments [tokens] int32: which packed example a token belongs to; reach [tokens] int32: the last token of its row that each sees,
 * itself where there is none. Only the composition knows `reach`.
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

/** Scores that are in memory at once: 16 MiB of them, a few times. */
const MOST_SCORES = 1 << 22;
/** Scores that backward finds kept, a few times. */
const MOST_KEPT_SCORES = 1 << 20;

/**
 * The same of operations that every engine has. More than a few scores are made a part of the queries at a time, each with the keys up to
 * its last query, and once more in backward.
 */
export function attentionComposed(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  segments: Tensor1D,
  { length: rowLength, heads, keyValueHeads, scale, window }: AttentionOptions,
  reach?: Tensor1D,
  mostScores = MOST_SCORES,
): Tensor2D {
  return tf.tidy(() => {
    const length = rowLength || q.shape[0];
    const rows = q.shape[0] / length;
    const size = q.shape[1] / heads;
    const group = heads / keyValueHeads;
    const split = (x: Tensor2D, count: number) =>
      tf.transpose(tf.reshape(x, [rows, length, count, size]), [0, 2, 1, 3]) as Tensor4D;
    const scaled = tf.reshape(split(tf.mul(q, scale), heads), [rows, keyValueHeads, group, length, size]) as Tensor5D;
    const [keys, values] = [split(k, keyValueHeads), split(v, keyValueHeads)];
    const mask = (part: QueryPart) => tf.mul(tf.sub(1, visibleKeys(segments, rows, length, part, window, reach)), -1e9);
    const scores = rows * heads * length * length;
    const parts = Math.min(length, Math.ceil(scores / mostScores));
    const each = queryParts(length, parts).map(({ begin, count }) => {
      const from = reach || window === undefined ? 0 : Math.max(0, begin - window + 1);
      return { begin, count, from, keys: (reach ? length : begin + count) - from };
    });
    const out =
      scores > Math.min(mostScores, MOST_KEPT_SCORES)
        ? attendedInParts(scaled, keys, values, each, mask)
        : attendedAtOnce(scaled, keys, values, mask(each[0]!));
    const tokens = tf.transpose(tf.reshape(out, [rows, heads, length, size]), [0, 2, 1, 3]);
    return tf.reshape(tokens, [rows * length, heads * size]);
  });
}

function attendedAtOnce(q: Tensor5D, k: Tensor4D, v: Tensor4D, mask: Tensor): Tensor {
  const [rows, heads, group, length, size] = q.shape;
  const scores = tf.matMul(tf.reshape(q, [rows, heads, group * length, size]), k, false, true);
  const masked = tf.add(tf.reshape(scores, [rows, heads, group, length, length]), mask);
  return tf.matMul(tf.reshape(tf.softmax(masked), [rows, heads, group * length, length]), v);
}

/** 1 where a query of a part sees a key of it, [rows, 1, 1, count, keys] */
function visibleKeys(
  segments: Tensor1D,
  rows: number,
  length: number,
  { begin, count, from, keys }: QueryPart,
  window?: number,
  reach?: Tensor1D,
): Tensor {
  const key = tf.range(from, from + keys, 1, 'int32');
  const distance = tf.sub(tf.expandDims(tf.range(begin, begin + count, 1, 'int32'), 1), tf.expandDims(key, 0));
  const queries = (x: Tensor1D) => tf.reshape(tf.slice(tf.reshape(x, [rows, length]), [0, begin], [rows, count]), [rows, count, 1]); // prettier-ignore
  let seen: Tensor = reach ? tf.lessEqual(key, queries(reach)) : tf.greaterEqual(distance, 0);
  if (window !== undefined) seen = tf.logicalAnd(seen, tf.less(distance, window));
  const ofKeys = tf.slice(tf.reshape(segments, [rows, length]), [0, from], [rows, keys]);
  const together = tf.equal(queries(segments), tf.expandDims(ofKeys, 1));
  return tf.cast(tf.reshape(tf.logicalAnd(together, seen), [rows, 1, 1, count, keys]), 'float32');
}
