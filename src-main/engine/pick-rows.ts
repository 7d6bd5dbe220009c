import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';

/** x[rows]. Its gradient is scattered: tfjs's own for gather needs a kernel that wasm lacks. */
export function pickRows(x: Tensor2D, rows: tf.Tensor1D): Tensor2D {
  return tf.customGrad((input, save) => {
    (save as tf.GradSaveFunc)([rows]);
    return {
      value: tf.gather(input as Tensor2D, rows),
      gradFunc: (dy: tf.Tensor, [saved]: tf.Tensor[]) =>
        tf.scatterND(tf.expandDims(saved as tf.Tensor1D, 1), dy, x.shape),
    };
  })(x) as Tensor2D;
}
