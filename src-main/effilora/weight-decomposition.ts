import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';

/** Euclidean norm of every output's weight vector: weight [in, out] -> [1, out]. */
export function outputNorms(weight: Tensor2D): Tensor2D {
  return tf.tidy(() => tf.sqrt(tf.sum(tf.square(weight), 0, true)) as Tensor2D);
}

/**
 * Norms of the adapted weight, [1, out]: ||W + (scale / N) A^T sum_j B_j||. With one head this is DoRA's ||W + scale B A||
 * (arXiv 2402.09353, equation 5). With several, omega depends on the input; the norm takes it at its starting mean, 1 / N.
 * A constant in backward, as in the paper's section 4.3. weight [in, out], a [rank, in], b [N * rank, out].
 */
export function adaptedNorms(weight: Tensor2D, a: Tensor2D, b: Tensor2D, scale: number): Tensor2D {
  return tf.customGrad((...args) => {
    const [down, up] = args as unknown as [Tensor2D, Tensor2D];
    const value = tf.tidy(() => {
      const [rank, out] = [down.shape[0], up.shape[1]];
      const meanB = tf.mean(tf.reshape(up, [up.shape[0] / rank, rank, out]), 0) as Tensor2D;
      return outputNorms(tf.add(weight, tf.mul(tf.matMul(down, meanB, true, false), scale)));
    });
    const shapes = [down.shape, up.shape];
    return { value, gradFunc: (): Tensor[] => shapes.map((shape) => tf.zeros(shape)) };
  })(a, b) as Tensor2D;
}

/** magnitude / norm * (W x + delta) + bias, where y = W x + delta + bias. */
export function decompose(y: Tensor2D, magnitude: Tensor2D, norms: Tensor2D, bias?: Tensor1D): Tensor2D {
  const gain = tf.div(magnitude, norms);
  const scaled = tf.mul<Tensor2D>(y, gain);
  // In this form a gain of 1, the start, changes no bit.
  return bias ? tf.add(scaled, tf.mul(bias, tf.sub(1, gain))) : scaled;
}
