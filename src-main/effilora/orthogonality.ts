import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';

/**
 * Gradient of ||M M^T - I|| (Frobenius) at M [r, width], times `weight`: weight (M M^T - I) M 2 / ||M M^T - I||. B's columns lie as rows
 * in memory, so that it is the same for A and B (AdaLoRA, arXiv 2303.10512, equation 4).
 */
export function orthogonalityGradient(m: Tensor2D, weight: number): Tensor2D {
  return tf.tidy(() => {
    const off = tf.sub<Tensor2D>(tf.matMul(m, m, false, true), tf.eye(m.shape[0]));
    const norm = tf.maximum(tf.sqrt(tf.sum(tf.square(off))), 1e-12);
    return tf.mul<Tensor2D>(tf.matMul(off, m), tf.div(2 * weight, norm));
  });
}
