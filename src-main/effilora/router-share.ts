import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';

/**
 * Measures the share of each head without keeping omega: `mixed` passes unchanged, and the gradient to `tap` [1, N] is
 * sum_t weight_t * omega_t. With weight = 1 / (the step's real tokens) the taps' gradients, summed over micro-batches like any
 * other gradient, are the mean omega of the step. Works alike when a block is recomputed in backward or captured into a graph.
 *
 * mixed = (h | router logits) [tokens, rank + N]; weight [tokens, 1].
 */
export function tapShare(mixed: Tensor2D, tap: Tensor2D, weight: Tensor2D, rank: number): Tensor2D {
  const heads = tap.shape[1];
  return tf.customGrad((...args) => {
    const [input, , save] = args as unknown as [Tensor2D, Tensor2D, tf.GradSaveFunc];
    save([input, weight]);
    return {
      value: tf.clone(input),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [kept, perToken] = saved as [Tensor2D, Tensor2D];
        const omega = tf.softmax(tf.slice(kept, [0, rank], [-1, heads]));
        return [tf.clone(dy), tf.matMul(perToken, omega, true, false)];
      },
    };
  })(mixed, tap) as Tensor2D;
}
