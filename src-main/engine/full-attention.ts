import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
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
    const out = parts > 1 ? inParts(...given, Math.ceil(queries / parts)) : attended(...given);
    return tf.reshape(tf.transpose(out, [0, 2, 1, 3]), q.shape);
  });
}

/** q, k, v and what comes out are [rows, heads, tokens, size]. */
function attended(q: Tensor4D, k: Tensor4D, v: Tensor4D): Tensor4D {
  return tf.matMul(tf.softmax(tf.matMul(q, k, false, true)), v);
}

/** @param length queries a part */
function inParts(q: Tensor4D, k: Tensor4D, v: Tensor4D, length: number): Tensor4D {
  return tf.customGrad((...args) => {
    const [q4, k4, v4, save] = args as unknown as [Tensor4D, Tensor4D, Tensor4D, tf.GradSaveFunc];
    save([q4, k4, v4]);
    const value = tf.tidy(() => {
      const outs: Tensor4D[] = [];
      for (const part of partsOf(q4, length)) outs.push(tf.tidy(() => attended(after(part(), outs.at(-1)), k4, v4)));
      return tf.concat(outs, 2);
    });
    return { value, gradFunc: (dy: Tensor, saved: Tensor[]) => gradients(saved as Tensor4D[], dy as Tensor4D, length) };
  })(q, k, v) as Tensor4D;
}

/** p = softmax(q k^T), dp = dOut v^T, ds = p (dp - sum(p dp));  dq = ds k, dk = ds^T q, dv = p^T dOut */
function gradients(saved: Tensor4D[], dOut: Tensor4D, length: number): [Tensor4D, Tensor4D, Tensor4D] {
  const [q, k, v] = saved as [Tensor4D, Tensor4D, Tensor4D];
  return tf.tidy(() => {
    const dqs: Tensor4D[] = [];
    let [dk, dv]: Tensor4D[] = [];
    const upstream = partsOf(dOut, length);
    for (const [i, part] of partsOf(q, length).entries()) {
      const last = dqs.at(-1);
      const [dq, ownK, ownV] = tf.tidy(() => {
        const own = after(part(), last);
        const dy = upstream[i]!();
        const p = tf.softmax(tf.matMul(own, k, false, true));
        const dp = tf.matMul(dy, v, false, true);
        const ds = tf.mul(p, tf.sub(dp, tf.sum(tf.mul(p, dp), -1, true)));
        return [tf.matMul(ds, k), tf.matMul(ds, own, true), tf.matMul(p, dy, true)] as [Tensor4D, Tensor4D, Tensor4D];
      });
      dqs.push(dq);
      dk = dk ? tf.add<Tensor4D>(dk, ownK) : ownK;
      dv = dv ? tf.add<Tensor4D>(dv, ownV) : ownV;
    }
    return [tf.concat(dqs, 2), dk!, dv!];
  });
}

/** The parts of some queries, each made when it is asked for. */
function partsOf(x: Tensor4D, length: number): (() => Tensor4D)[] {
  const [rows, heads, tokens, size] = x.shape;
  return Array.from({ length: Math.ceil(tokens / length) }, (_, i) => () => {
    const own = Math.min(length, tokens - i * length);
    return tf.slice(x, [0, 0, i * length, 0], [rows, heads, own, size]);
  });
}

/**
 * x itself, but made when `earlier` is there: a graph would begin with every part at once, and hold all their scores. `earlier` is of
 * x's shape, or longer.
 */
function after(x: Tensor4D, earlier: Tensor4D | undefined): Tensor4D {
  if (!earlier) return x;
  const alike = tf.slice(earlier, [0, 0, 0, 0], x.shape);
  return tf.where(tf.zeros(x.shape, 'bool'), alike, x);
}
