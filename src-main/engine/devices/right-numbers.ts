import * as tf from '@tensorflow/tfjs-core';
import { randomStream } from '../random.ts';

const [ROWS, DEPTH, COLUMNS] = [70, 96, 130];
/** Half precision and other orders of summation stay far below. */
const LARGEST_ERROR = 5e-3;

/**
 * How far the engine in use is from numbers worked out in plain JavaScript: of p = softmax(x w) and of the gradient of sum(p t) to w, the
 * largest difference over the largest number.
 */
export async function largestError(): Promise<number> {
  const random = randomStream(1, 'probe');
  const drawn = (size: number) => Float32Array.from({ length: size }, () => random() - 0.5);
  const [x, w, t] = [drawn(ROWS * DEPTH), drawn(DEPTH * COLUMNS), drawn(ROWS * COLUMNS)] as const;
  const expected = inJavaScript(x, w, t);
  const { value, grad } = tf.tidy(() => {
    const softmax = (weight: tf.Tensor) => tf.softmax(tf.matMul(tf.tensor2d(x, [ROWS, DEPTH]), weight as tf.Tensor2D));
    const loss = (weight: tf.Tensor) => tf.sum(tf.mul(softmax(weight), tf.tensor2d(t, [ROWS, COLUMNS])));
    const weight = tf.tensor2d(w, [DEPTH, COLUMNS]);
    return { value: softmax(weight), grad: tf.grad(loss)(weight) };
  });
  const found = [await value.data(), await grad.data()];
  tf.dispose([value, grad]);
  return Math.max(...[expected.softmax, expected.gradient].map((right, i) => distance(found[i]!, right)));
}

export const isRight = (error: number): boolean => error < LARGEST_ERROR; // false for NaN

function distance(found: ArrayLike<number>, right: Float64Array): number {
  const largest = right.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // Math.max keeps what is no number.
  return right.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i]!) / largest), 0);
}

function inJavaScript(x: Float32Array, w: Float32Array, t: Float32Array) {
  const softmax = new Float64Array(ROWS * COLUMNS);
  const gradient = new Float64Array(DEPTH * COLUMNS);
  for (let row = 0; row < ROWS; row++) {
    const at = row * COLUMNS;
    const powers = Float64Array.from({ length: COLUMNS }, (_, column) => {
      let sum = 0;
      for (let k = 0; k < DEPTH; k++) sum += x[row * DEPTH + k]! * w[k * COLUMNS + column]!;
      return Math.exp(sum);
    });
    const total = powers.reduce((sum, power) => sum + power, 0);
    const mean = powers.reduce((sum, power, column) => sum + (power / total) * t[at + column]!, 0);
    powers.forEach((power, column) => {
      softmax[at + column] = power / total;
      const slope = (power / total) * (t[at + column]! - mean);
      for (let k = 0; k < DEPTH; k++) gradient[k * COLUMNS + column]! += x[row * DEPTH + k]! * slope;
    });
  }
  return { softmax, gradient };
}
