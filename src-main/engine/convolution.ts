import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';

/** How a filter goes over a picture: rows and columns of zeros before and behind it, and pixels a step. */
export interface Walk {
  padding: [before: number, after: number];
  stride: 1 | 2;
}

/** A 3 x 3 filter that leaves the size as it is. */
export const IN_PLACE: Walk = { padding: [1, 1], stride: 1 };

/**
 * x [pictures, height, width, in] with a frozen filter [kernel, kernel, in, out]. No gradient flows to the filter, and x is not kept
 * for backward.
 */
export function frozenConvolution(x: Tensor4D, filter: Tensor4D, walk: Walk): Tensor4D {
  const { stride } = walk;
  const isSame = isSamePadding(x, filter, walk);
  const padding = isSame ? 'same' : 'valid';
  const [before, after] = isSame ? [0, 0] : walk.padding;
  return tf.customGrad((input, save) => {
    (save as tf.GradSaveFunc)([filter]);
    return {
      value: tf.tidy(() => {
        const padded = isSame ? (input as Tensor4D) : tf.pad(input as Tensor4D, [[0, 0], [before, after], [before, after], [0, 0]]); // prettier-ignore
        return tf.conv2d(padded, filter, stride, padding);
      }),
      gradFunc: (dy: Tensor, [kept]: Tensor[]) =>
        tf.tidy(() => {
          const [pictures, height, width, channels] = x.shape;
          const whole: [number, number, number, number] = [pictures, height + before + after, width + before + after, channels]; // prettier-ignore
          const dx = tf.conv2dTranspose(dy as Tensor4D, kept as Tensor4D, whole, stride, padding);
          return isSame ? dx : tf.slice(dx, [0, before, before, 0], x.shape);
        }),
    };
  })(x) as Tensor4D;
}

/** Whether the engines' own "same" pads like that: all that is missing, the odd row behind. */
function isSamePadding({ shape }: Tensor4D, filter: Tensor4D, { padding, stride }: Walk): boolean {
  return [shape[1], shape[2]].every((size) => {
    const missing = Math.max(0, (Math.ceil(size / stride) - 1) * stride + filter.shape[0] - size);
    return padding[0] === Math.floor(missing / 2) && padding[1] === Math.ceil(missing / 2);
  });
}

/** Each pixel four times, [pictures, 2 height, 2 width, channels]: nearest-neighbour upsampling. */
export function doubled(x: Tensor4D): Tensor4D {
  return tf.tidy(() => {
    const [pictures, height, width, channels] = x.shape;
    // A row beside itself, in memory, is what broadcasting would give; this way it is two copies.
    const wide = tf.reshape(tf.concat([x, x], 3), [pictures, height, 2 * width * channels]);
    return tf.reshape(tf.concat([wide, wide], 2), [pictures, 2 * height, 2 * width, channels]);
  });
}
