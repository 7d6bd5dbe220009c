import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { geluTanh } from '../../../engine/fused.ts';

export type VisionActivation = 'gelu' | 'gelu_tanh' | 'quick_gelu';

export function activate(x: Tensor2D, activation: VisionActivation): Tensor2D {
  return tf.tidy(() => {
    switch (activation) {
      case 'quick_gelu':
        return tf.mul<Tensor2D>(x, tf.sigmoid(tf.mul(x, 1.702)));
      case 'gelu':
        return tf.mul<Tensor2D>(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
      case 'gelu_tanh':
        return geluTanh(x);
    }
  });
}
