import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';

/** Rows [rows, in] that need not lie in memory, such as what a filter sees at each place of a picture: products with them are enough. */
export interface ImplicitRows {
  /** rows matrix^T: matrix [n, in] -> [rows, n]; gradients flow to what the rows are made of and to the matrix */
  times(matrix: Tensor2D): Tensor2D;
  /** all of them; no gradient flows */
  written(): Tensor2D;
  /**
   * The same rows of other values.
   * @param f of the values [values, features] that rows are made of, and of `perRow` as it is for each of them, [values, 1]
   */
  changed(f: (values: Tensor2D, perValue: Tensor2D) => Tensor2D, perRow: Tensor2D): ImplicitRows;
}

export const isImplicit = (x: Tensor2D | ImplicitRows): x is ImplicitRows => !(x instanceof tf.Tensor);

/** x matrix^T */
export const timesTransposed = (x: Tensor2D | ImplicitRows, matrix: Tensor2D): Tensor2D =>
  isImplicit(x) ? x.times(matrix) : tf.matMul(x, matrix, false, true);
