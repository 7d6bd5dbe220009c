import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';

/** x itself, whose gradient is multiplied by `factor` [1]. */
export function gradientTimes(x: Tensor2D, factor: Tensor1D): Tensor2D {
  return tf.customGrad((...args) => {
    const save = args.pop() as unknown as tf.GradSaveFunc;
    save([factor]);
    return {
      value: tf.clone(args[0] as Tensor),
      gradFunc: (dy: Tensor, [kept]: Tensor[]) => tf.mul(dy, kept!),
    };
  })(x) as Tensor2D;
}
