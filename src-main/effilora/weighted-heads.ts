import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { mixture } from '../engine/fused.ts';
import { type ImplicitRows, timesTransposed } from '../engine/implicit-rows.ts';
import { onlyHead } from './one-head.ts';
import { tapShare } from './router-share.ts';

/** What a site's heads are weighed with. */
export interface Weighing {
  rank: number;
  /** how many a router weighs */
  heads: number;
  /** [N, in]; without one there is one head, whose weight is 1 */
  router?: Tensor2D;
  /** A x of a single head, where it is there already */
  h?: Tensor2D;
  /** x as A sees it, where that isn't all of it */
  dropped?: Tensor2D | ImplicitRows;
  /** what measures the heads' share (router-share.ts) */
  share?: { tap: Tensor2D; weight: Tensor2D };
  /** what leaves heads out (dropped-heads.ts) */
  mask?: Tensor2D;
  bias?: Tensor2D;
  /** is given omega [tokens, N] */
  observe?: (omega: Tensor2D) => void;
}

/** concat_j(omega_j h) [tokens, N * r] with h = A x, omega = softmax(router x). x [tokens, in], a [r, in] */
export function weightedHeads(x: Tensor2D | ImplicitRows, a: Tensor2D, weighing: Weighing): Tensor2D {
  const { mask } = weighing;
  const z = weighing.router ? routedHeads(x, a, weighing.router, weighing) : timesTransposed(weighing.dropped ?? x, a);
  return (mask ? tf.mul(z, mask) : z) as Tensor2D;
}

function routedHeads(x: Tensor2D | ImplicitRows, a: Tensor2D, router: Tensor2D, weighing: Weighing): Tensor2D {
  const { rank, heads, h, dropped, share, bias, observe } = weighing;
  if (heads === 1) {
    const only = h ?? timesTransposed(dropped ?? x, a);
    observe?.(tf.ones([only.shape[0], 1]));
    return onlyHead(only, router, share);
  }
  let mixed: Tensor2D = dropped
    ? tf.concat([timesTransposed(dropped, a), timesTransposed(x, router)], 1)
    : timesTransposed(x, tf.concat([a, router], 0)); // (A x | router x) in one product
  if (share) mixed = tapShare(mixed, share.tap, share.weight, rank);
  if (bias) mixed = tf.add<Tensor2D>(mixed, bias);
  observe?.(tf.softmax(tf.slice(mixed, [0, rank], [-1, heads])));
  return mixture(mixed, rank, heads);
}
