import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';

/** Latents [pictures, height, width, channels] as rows of patches, [pictures * patches, patch * patch * channels]. */
export function patched(x: Tensor4D, patch: number): Tensor2D {
  const [pictures, height, width, channels] = x.shape;
  const lines = tf.reshape(x, [(pictures * height) / patch, patch, width / patch, patch * channels]);
  return tf.reshape(tf.transpose(lines, [0, 2, 1, 3]), [-1, patch * patch * channels]);
}

/** The way back, of so many patches a column and a row. */
export function unpatched(
  x: Tensor2D,
  { pictures, rows, columns }: { pictures: number; rows: number; columns: number },
  patch: number,
): Tensor4D {
  const channels = x.shape[1] / patch ** 2;
  const lines = tf.transpose(tf.reshape(x, [pictures * rows, columns, patch, patch * channels]), [0, 2, 1, 3]);
  return tf.reshape(lines, [pictures, rows * patch, columns * patch, channels]);
}
