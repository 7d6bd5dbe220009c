import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';

/** f(x) as a value: nothing of it is kept for backward, and no gradient passes it. */
export function withoutBackward(f: (x: Tensor2D) => Tensor2D, x: Tensor2D): Tensor2D {
  // What runs inside a custom gradient's forward pass is not on tfjs's tape.
  return tf.customGrad((input) => ({
    value: f(input as Tensor2D),
    gradFunc: (dy) => tf.zerosLike(dy),
  }))(x) as Tensor2D;
}
