import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { type ImplicitRows, isImplicit } from '../engine/implicit-rows.ts';
import { siteName } from './names.ts';
import { uniform } from './random.ts';
import type { SiteShape } from './types.ts';

/**
 * Inverted dropout with a mask that is computed, not stored: entry (t, k) stays where frac(1000 sin(p_t q_k)) >= rate.
 * p [tokens, 1] is drawn per step and micro-batch, q [1, in] per site, so the mask depends on (seed, step, layer, site) only,
 * comes out the same when a block is recomputed in backward, and enters a captured step as one small tensor.
 */
export function dropout(x: Tensor2D, rate: number, p: Tensor2D, q: Tensor2D): Tensor2D;
export function dropout(x: Tensor2D | ImplicitRows, rate: number, p: Tensor2D, q: Tensor2D): Tensor2D | ImplicitRows;
export function dropout(x: Tensor2D | ImplicitRows, rate: number, p: Tensor2D, q: Tensor2D): Tensor2D | ImplicitRows {
  // Of what a filter sees the pixels drop, each for all that see it.
  if (isImplicit(x)) return x.changed((pixels, own) => dropout(pixels, rate, own, tf.slice(q, [0, 0], [1, pixels.shape[1]])), p); // prettier-ignore
  return tf.tidy(() => {
    const noise = tf.mul(tf.sin(tf.mul(p, q)), 1000);
    const kept = tf.cast(tf.greaterEqual(tf.sub(noise, tf.floor(noise)), rate), 'float32');
    return tf.mul<Tensor2D>(x, tf.mul(kept, 1 / (1 - rate)));
  });
}

/** p of a step's micro-batch. @param part other than the language model whose rows they are */
export function tokenNoise(seed: number, step: number, microBatch: number, tokens: number, part?: string): Tensor2D {
  const of = part === undefined ? '' : `.${part}`;
  return tf.tensor2d(uniform(seed, `dropout.${step}.${microBatch}${of}`, tokens, 10, 100), [tokens, 1]);
}

/** q of a site. */
export function featureNoise(seed: number, shape: SiteShape): Tensor2D {
  const { inFeatures } = shape;
  return tf.tensor2d(uniform(seed, `dropout.${siteName(shape)}`, inFeatures, 10, 100), [1, inFeatures]);
}
