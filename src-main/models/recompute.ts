import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { LayerParameters } from './types.ts';

/**
 * Runs `f(x, parameters, fixed)` keeping only x for backward, which runs it again (gradient checkpointing, arXiv 1604.06174).
 * Gradients flow to x and to every parameter.
 * @param fixed tensors that were made on the way here and would be gone by then; no gradient flows to them
 */
export function recomputed<F extends Record<string, Tensor> = Record<string, never>>(
  f: (x: Tensor2D, parameters: LayerParameters, fixed: F) => Tensor2D,
  x: Tensor2D,
  parameters: LayerParameters,
  fixed = {} as F,
): Tensor2D {
  const names = Object.keys(parameters);
  const run = (input: Tensor, values: Tensor[], kept: F) =>
    f(input as Tensor2D, Object.fromEntries(names.map((name, i) => [name, values[i]!])) as LayerParameters, kept);
  return tf.customGrad((...args) => {
    const save = args.pop() as unknown as tf.GradSaveFunc;
    const [input, ...values] = args as Tensor[];
    save([input!, ...values, ...Object.values(fixed)]);
    return {
      value: run(input!, values, fixed),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const count = 1 + names.length;
        const kept = Object.fromEntries(Object.keys(fixed).map((name, i) => [name, saved[count + i]!])) as F;
        return onOwnTape(() => tf.grads((first, ...rest) => run(first!, rest, kept))(saved.slice(0, count), dy));
      },
    };
  })(x, ...Object.values(parameters)) as Tensor2D;
}

/** tfjs takes gradients inside a backward pass for a first pass and drops the outer tape: put it back afterwards. */
function onOwnTape<T>(f: () => T): T {
  const { state } = tf.engine();
  const outer = state.activeTape;
  try {
    return f();
  } finally {
    state.activeTape = outer;
  }
}
