import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';

/** Is told while a step is recorded where a pass through a repeated part begins and ends. */
export interface PartListener {
  enter(): void;
  leave(): void;
}

let listener: PartListener | undefined;

/** Runs `record` with repeated parts reported to `to`. */
export function withParts<T>(to: PartListener, record: () => T): T {
  const outer = listener;
  listener = to;
  try {
    return record();
  } finally {
    listener = outer;
  }
}

/**
 * Runs `f(x, parameters)`, a part of a step that comes again and again with other numbers, such as a decoder's block. A compiled
 * step makes one function of all its forward passes and one of its backward passes; eager code sees nothing of it.
 * Gradients flow to x and to every parameter, each parameter's summed up inside the part before it leaves it.
 */
export function repeated<P extends Record<string, Tensor>>(
  f: (x: Tensor2D, parameters: P) => Tensor2D,
  x: Tensor2D,
  parameters: P,
): Tensor2D {
  const to = listener;
  if (!to) return f(x, parameters);
  to.enter();
  const nothing = () => {};
  const leave = () => to.leave();
  const own = Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, passing(value, leave)])) as P;
  const out = f(passing(x, nothing), own);
  to.leave();
  return passing(out, () => to.enter());
}

/** x itself; `told` is called when its gradient passes. */
function passing<T extends Tensor>(x: T, told: () => void): T {
  return tf.customGrad((input) => ({
    value: tf.clone(input as Tensor),
    gradFunc: (dy: Tensor) => {
      told();
      return tf.clone(dy);
    },
  }))(x) as T;
}
