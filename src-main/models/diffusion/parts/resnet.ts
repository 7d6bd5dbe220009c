import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { frozenConvolution, IN_PLACE, type Walk } from '../../../engine/convolution.ts';
import { groupNorm } from '../../../engine/group-norm.ts';
import type { DiffusionLoader } from '../loader.ts';
import { linear, pointwise, type Linear } from './linear.ts';

/** filter [kernel, kernel, in, out] */
export interface Convolution {
  filter: Tensor4D;
  bias: Tensor1D;
}

export interface Norm {
  weight: Tensor1D;
  bias: Tensor1D;
}

/** How all norms of a network group channels. */
export interface Grouping {
  groups: number;
  epsilon: number;
}

/** A residual block of two convolutions: its place in the file, and its sizes. */
export interface ResnetShape extends Grouping {
  name: string;
  inChannels: number;
  outChannels: number;
  /** features of the time; undefined: it knows none */
  timeWidth?: number;
}

export interface ResnetWeights {
  norm1: Norm;
  conv1: Convolution;
  time?: Linear;
  norm2: Norm;
  conv2: Convolution;
  /** where the channels change */
  shortcut?: Linear;
}

export async function loadResnet(loader: DiffusionLoader, shape: ResnetShape): Promise<ResnetWeights> {
  const { name, inChannels, outChannels, timeWidth } = shape;
  return {
    norm1: await loader.norm(`${name}.norm1`, inChannels),
    conv1: await loader.convolution(`${name}.conv1`, outChannels, inChannels),
    time: timeWidth === undefined ? undefined : await loader.linear(`${name}.time_emb_proj`, outChannels, timeWidth),
    norm2: await loader.norm(`${name}.norm2`, outChannels),
    conv2: await loader.convolution(`${name}.conv2`, outChannels, outChannels),
    shortcut:
      inChannels === outChannels ? undefined : await loader.linear(`${name}.conv_shortcut`, outChannels, inChannels),
  };
}

/**
 * x + conv2(silu(norm2(conv1(silu(norm1(x))) + time))).
 * @param time silu of the time's features, [pictures, timeWidth]
 */
export function resnet(x: Tensor4D, weights: ResnetWeights, grouping: Grouping, time?: Tensor2D): Tensor4D {
  const options = { ...grouping, silu: true };
  return tf.tidy(() => {
    let inner = convolve(groupNorm(x, weights.norm1.weight, weights.norm1.bias, options), weights.conv1);
    if (time && weights.time) inner = tf.add(inner, tf.reshape(linear(time, weights.time), [x.shape[0], 1, 1, -1]));
    const out = convolve(groupNorm(inner, weights.norm2.weight, weights.norm2.bias, options), weights.conv2);
    return tf.add<Tensor4D>(weights.shortcut ? pointwise(x, weights.shortcut) : x, out);
  });
}

export const convolve = (x: Tensor4D, { filter, bias }: Convolution, walk: Walk = IN_PLACE): Tensor4D =>
  tf.tidy(() => tf.add<Tensor4D>(frozenConvolution(x, filter, walk), bias));
