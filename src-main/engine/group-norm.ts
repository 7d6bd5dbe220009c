import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { fusedKernels, type GroupNormOptions } from './fused-kernels.ts';

/** A picture's numbers, one a channel, that are added before it is normed, [pictures, channels]. */
type Shift = Tensor2D | undefined;

/**
 * Group normalisation (arXiv 1803.08494) of pictures [pictures, height, width, channels], and SiLU where asked for. Weight and bias
 * [channels] are frozen: no gradient flows to them. For backward x is kept and nothing else of its size.
 */
export function groupNorm(
  x: Tensor4D,
  weight: Tensor1D,
  bias: Tensor1D,
  options: GroupNormOptions,
  shift?: Shift,
): Tensor4D {
  const { groupNorm: norm, groupNormGrad: gradient } = fusedKernels() ?? {};
  if (!norm || !gradient) return groupNormComposed(x, weight, bias, options, shift);
  return tf.customGrad((...args) => {
    const [input, added, save] = args as unknown as [Tensor4D, Tensor, tf.GradSaveFunc];
    const [value, moments] = norm(input, added, weight, bias, options);
    save([input, added, weight, bias, moments]);
    return {
      value,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [dx, dShift] = gradient(dy as Tensor4D, saved, options);
        return [dx, shift ? dShift : tf.zeros([1])];
      },
    };
  })(x, shift ?? tf.zeros([1])) as Tensor4D;
}

/** The same of TensorFlow's own operations. */
export function groupNormComposed(
  x: Tensor4D,
  weight: Tensor1D,
  bias: Tensor1D,
  options: GroupNormOptions,
  shift?: Shift,
): Tensor4D {
  const [pictures, , , channels] = x.shape;
  const shifted = shift ? tf.add<Tensor4D>(x, tf.reshape(shift, [pictures, 1, 1, channels])) : x;
  return tf.customGrad((input, save) => {
    const rows = flat(input as Tensor4D);
    const [mean, deviation] = moments(rows, options);
    (save as tf.GradSaveFunc)([input as Tensor, weight, bias, mean, deviation]);
    return {
      value: tf.tidy(() => {
        const normed = scaled(rows, weight, bias, mean, deviation);
        return tf.reshape(options.silu ? tf.mul(normed, tf.sigmoid(normed)) : normed, x.shape);
      }),
      gradFunc: (dy: Tensor, saved: Tensor[]) => tf.tidy(() => gradient(dy as Tensor4D, saved, options)),
    };
  })(shifted) as Tensor4D;
}

const flat = (x: Tensor4D): Tensor3D => tf.reshape(x, [x.shape[0], x.shape[1] * x.shape[2], x.shape[3]]);

/** Mean and 1 / deviation of each channel's group, [pictures, 1, channels]. */
function moments(rows: Tensor3D, { groups, epsilon }: GroupNormOptions): [Tensor, Tensor] {
  return tf.tidy(() => {
    const mean = overGroups(tf.mean(rows, 1, true), groups);
    // Around the mean: the squares' mean less the mean's square loses what is small beside the mean.
    const variance = overGroups(tf.mean(tf.squaredDifference(rows, mean), 1, true), groups);
    return [mean, tf.rsqrt(tf.add(variance, epsilon))];
  });
}

/** The mean over each group's channels in the place of each, [pictures, 1, channels]. */
function overGroups(values: Tensor, groups: number): Tensor {
  const [pictures, , channels] = values.shape as [number, number, number];
  const mean = tf.mean(tf.reshape(values, [pictures, groups, channels / groups]), 2, true);
  return tf.reshape(tf.tile(mean, [1, 1, channels / groups]), [pictures, 1, channels]);
}

function scaled(rows: Tensor3D, weight: Tensor1D, bias: Tensor1D, mean: Tensor, deviation: Tensor): Tensor3D {
  const scale = tf.mul(deviation, weight);
  return tf.add(tf.mul(rows, scale), tf.sub(bias, tf.mul(mean, scale)));
}

/** dx = (dn w - mean(dn w) - xhat mean(dn w xhat)) / deviation, the means over a group; dn is what comes through SiLU. */
function gradient(dy: Tensor4D, saved: Tensor[], { groups, silu }: GroupNormOptions): Tensor4D {
  const [x, weight, bias, mean, deviation] = saved as [Tensor4D, Tensor1D, Tensor1D, Tensor, Tensor];
  const rows = flat(x);
  let dn: Tensor = flat(dy);
  if (silu) {
    const normed = scaled(rows, weight, bias, mean, deviation);
    const gate = tf.sigmoid(normed);
    dn = tf.mul(dn, tf.mul(gate, tf.add(1, tf.mul(normed, tf.sub(1, gate)))));
  }
  const centered = tf.sub(rows, mean);
  const plain = overGroups(tf.mul(tf.mean(dn, 1, true), weight), groups);
  const turned = overGroups(tf.mul(tf.mean(tf.mul(dn, centered), 1, true), weight), groups);
  const along = tf.mul(tf.mul(centered, turned), tf.square(deviation));
  const dx = tf.mul(tf.sub(tf.sub(tf.mul(dn, weight), plain), along), deviation);
  return tf.reshape(dx, x.shape);
}
