import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';

/** Some queries in a row, and the keys among which are all that they see. */
export interface QueryPart {
  begin: number;
  count: number;
  /** the first key */
  from: number;
  keys: number;
}

/** Queries in so many parts, of which the last may be shorter. */
export function queryParts(queries: number, parts: number): Pick<QueryPart, 'begin' | 'count'>[] {
  const length = Math.ceil(queries / parts);
  return Array.from({ length: Math.ceil(queries / length) }, (_, i) => {
    return { begin: i * length, count: Math.min(length, queries - i * length) };
  });
}

/**
 * softmax(q k^T) v, a part of the queries at a time, and once more in backward: then q, k and v are all that is kept. q, already scaled,
 * and what comes out [rows, heads, group, queries, size]; k and v [rows, heads, keys, size], each for a group of queries' heads.
 * @param mask what is added to a part's scores [rows, heads, group, count, keys], or to shapes that are broadcast to it
 */
export function attendedInParts(
  q: Tensor5D,
  k: Tensor4D,
  v: Tensor4D,
  parts: QueryPart[],
  mask?: (part: QueryPart) => Tensor,
): Tensor5D {
  return tf.customGrad((...args) => {
    const [q5, k4, v4, save] = args as unknown as [Tensor5D, Tensor4D, Tensor4D, tf.GradSaveFunc];
    save([q5, k4, v4]);
    const value = tf.tidy(() => {
      const outs: Tensor[] = [];
      for (const part of parts)
        outs.push(
          tf.tidy(() => {
            const { own, values, p } = partOf(q5, k4, v4, part, mask);
            return tf.reshape(tf.matMul(p, values), own.shape);
          }),
        );
      return tf.concat(outs, 3) as Tensor5D;
    });
    return {
      value,
      gradFunc: (dy: Tensor, [q2, k2, v2]: Tensor[]) =>
        gradients(q2 as Tensor5D, k2 as Tensor4D, v2 as Tensor4D, dy as Tensor5D, parts, mask),
    };
  })(q, k, v) as Tensor5D;
}

/** A part's queries, as they are and with their group's heads after each other, the keys and values before them, and the shares. */
function partOf(q: Tensor5D, k: Tensor4D, v: Tensor4D, part: QueryPart, mask?: (part: QueryPart) => Tensor) {
  const own = queriesOf(q, part);
  const [rows, heads, group, count, size] = own.shape as [number, number, number, number, number];
  const keys = tf.slice(k, [0, 0, part.from, 0], [rows, heads, part.keys, size]);
  const values = tf.slice(v, [0, 0, part.from, 0], [rows, heads, part.keys, size]);
  const grouped = tf.reshape(own, [rows, heads, group * count, size]) as Tensor4D;
  const scores = tf.matMul(grouped, keys, false, true);
  const seen = mask ? tf.add(tf.reshape(scores, [rows, heads, group, count, part.keys]), mask(part)) : scores;
  return { own, grouped, keys, values, p: tf.softmax(tf.reshape(seen, scores.shape)) };
}

const queriesOf = (x: Tensor5D, { begin, count }: QueryPart) => {
  const [rows, heads, group, , size] = x.shape;
  return tf.slice(x, [0, 0, 0, begin, 0], [rows, heads, group, count, size]);
};

/** p = softmax(q k^T), dp = dOut v^T, ds = p (dp - sum(p dp));  dq = ds k, dk = ds^T q, dv = p^T dOut */
function gradients(
  q: Tensor5D,
  k: Tensor4D,
  v: Tensor4D,
  dOut: Tensor5D,
  parts: QueryPart[],
  mask?: (part: QueryPart) => Tensor,
): [Tensor5D, Tensor4D, Tensor4D] {
  return tf.tidy(() => {
    const dqs: Tensor5D[] = [];
    let [dk, dv]: Tensor4D[] = [];
    for (const part of parts) {
      const [dq, ownK, ownV] = tf.tidy(() => {
        const { own, grouped, keys, values, p } = partOf(q, k, v, part, mask);
        const dy = tf.reshape(queriesOf(dOut, part), grouped.shape);
        const dp = tf.matMul(dy, values, false, true);
        const ds = tf.mul(p, tf.sub(dp, tf.sum(tf.mul(p, dp), -1, true)));
        const behind = k.shape[2] - part.from - part.keys;
        const whole = (x: Tensor) =>
          part.keys === k.shape[2] ? x : tf.pad(x, [[0, 0], [0, 0], [part.from, behind], [0, 0]]); // prettier-ignore
        const dq5 = tf.reshape(tf.matMul(ds, keys), own.shape);
        return [dq5, whole(tf.matMul(ds, grouped, true)), whole(tf.matMul(p, dy, true))];
      }) as [Tensor5D, Tensor4D, Tensor4D];
      dqs.push(dq);
      dk = dk ? tf.add<Tensor4D>(dk, ownK) : ownK;
      dv = dv ? tf.add<Tensor4D>(dv, ownV) : ownV;
    }
    return [tf.concat(dqs, 3), dk!, dv!];
  });
}
