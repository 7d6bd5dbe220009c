import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';

/** weight [out, in] as in the file */
export interface VisionLinear {
  weight: Tensor2D;
  bias?: Tensor1D;
}

export interface LayerNorm {
  weight: Tensor1D;
  bias: Tensor1D;
}

/** y = x W^T + bias */
export function linear(x: Tensor2D, { weight, bias }: VisionLinear): Tensor2D {
  return tf.tidy(() => {
    const product: Tensor2D = tf.matMul(x, weight, false, true);
    return bias ? tf.add<Tensor2D>(product, bias) : product;
  });
}

/** (x - mean) / deviation * weight + bias (arXiv 1607.06450) */
export function layerNorm(x: Tensor2D, { weight, bias }: LayerNorm, epsilon: number): Tensor2D {
  return tf.tidy(() => {
    const centered = tf.sub(x, tf.mean(x, -1, true));
    const scale = tf.rsqrt(tf.add(tf.mean(tf.square(centered), -1, true), epsilon));
    return tf.add<Tensor2D>(tf.mul(tf.mul(centered, scale), weight), bias);
  });
}
