import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { outputNorms } from '../weight-decomposition.ts';

/** A plain LoRA of one weight. */
export interface MergedPair {
  /** [rank, in] */
  a: Float32Array;
  /** [out, rank] */
  b: Float32Array;
  rank: number;
  /** alpha / rank */
  scale: number;
  /** DoRA's, [out] */
  magnitude?: Float32Array;
}

/**
 * A frozen weight with a plain LoRA worked in: W + scale B A; with DoRA its rows rescaled.
 * @param values [out, in]; of a convolution `in` is all that a filter sees
 */
export async function mergedWeight(
  values: Float32Array,
  { a, b, rank, scale, magnitude }: MergedPair,
): Promise<Float32Array> {
  const [inFeatures, out] = [a.length / rank, b.length / rank];
  const result = tf.tidy(() => {
    const product = tf.matMul<Tensor2D>(tf.tensor2d(b, [out, rank]), tf.tensor2d(a, [rank, inFeatures]));
    const merged = tf.add<Tensor2D>(tf.tensor2d(values, [out, inFeatures]), tf.mul(product, scale));
    if (!magnitude) return merged;
    const norms = tf.reshape(outputNorms(tf.transpose(merged)), [out, 1]);
    return tf.mul<Tensor2D>(merged, tf.div(tf.tensor2d(magnitude, [out, 1]), norms));
  });
  const merged = (await result.data()) as Float32Array;
  result.dispose();
  return merged;
}
