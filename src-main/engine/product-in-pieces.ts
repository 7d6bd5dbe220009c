import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';

/** Numbers that a product unpacks at a time, 256 MiB of them: larger are the heads of large vocabularies. */
export const MOST_UNPACKED = 1 << 26;

/** A matrix whose numbers exist only while they are needed. */
export interface InPieces {
  shape: [rows: number, width: number];
  /** rows [from, to) */
  between(from: number, to: number): Tensor2D;
  /** W[ids] */
  rows(ids: Tensor1D): Tensor2D;
}

/** A tensor taken likewise, so that what is made of its rows exists in pieces. */
export const tensorInPieces = (weight: Tensor2D): InPieces => ({
  shape: weight.shape,
  between: (from, to) => (to - from === weight.shape[0] ? weight : tf.slice(weight, [from, 0], [to - from, -1])),
  rows: (ids) => tf.gather(weight, ids),
});

/** x W^T, or x W with `gradient`. */
type Multiply = (x: Tensor2D, weight: Tensor2D, gradient: boolean) => Tensor2D;

/**
 * x W^T [tokens, rows], or x W [tokens, width] with `gradient`, so many rows of W at a time as are unpacked at most.
 * @param multiply what each piece is multiplied by
 */
export function productInPieces(
  x: Tensor2D,
  weight: InPieces,
  gradient: boolean,
  multiply: Multiply = (x, weight, gradient) => tf.matMul(x, weight, false, !gradient),
  most = MOST_UNPACKED,
): Tensor2D {
  const [rows, width] = weight.shape;
  const atATime = rows * width <= most ? rows : 2 ** Math.floor(Math.log2(most / width));
  const pieces: Tensor2D[] = [];
  for (let from = 0; from < rows; from += atATime) {
    const to = Math.min(rows, from + atATime);
    const taken = () => (gradient && atATime < rows ? tf.slice(x, [0, from], [-1, to - from]) : x);
    pieces.push(tf.tidy(() => multiply(taken(), weight.between(from, to), gradient)));
  }
  if (pieces.length === 1) return pieces[0]!;
  return gradient ? tf.addN(pieces) : tf.concat(pieces, 1);
}
