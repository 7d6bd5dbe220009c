import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { LayerParameters } from './types.ts';

/**
 * Runs `f(x, parameters)` keeping only x for backward, which runs it again (gradient checkpointing, arXiv 1604.06174).
 * Gradients flow to x and to every parameter.
 */
export function recomputed(
  f: (x: Tensor2D, parameters: LayerParameters) => Tensor2D,
  x: Tensor2D,
  parameters: LayerParameters,
): Tensor2D {
  const names = Object.keys(parameters);
  const run = (input: Tensor, values: Tensor[]) =>
    f(input as Tensor2D, Object.fromEntries(names.map((name, i) => [name, values[i]!])) as LayerParameters);
  return tf.customGrad((...args) => {
    const save = args.pop() as unknown as tf.GradSaveFunc;
    const [input, ...values] = args as Tensor[];
    save([input!, ...values]);
    return {
      value: run(input!, values),
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        onOwnTape(() => tf.grads((again, ...rest) => run(again!, rest))(saved, dy)),
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
