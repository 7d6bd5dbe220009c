import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { frozenLinear, frozenTransposed } from '../../../engine/frozen.ts';
import type { FrozenMatrix } from '../../../engine/packed.ts';
import type { Adaptation, LayerParameters } from '../../types.ts';
import type { DiffusionSite } from '../site.ts';

/** weight [out, in]; a 1 x 1 convolution is one, too */
export interface Linear {
  weight: FrozenMatrix;
  bias?: Tensor1D;
  /** undefined: it is not adapted */
  site?: DiffusionSite;
}

/** How rows go through a linear: with what is adapted, and its block's tensors where they are at hand. */
export interface LinearPass {
  adaptation?: Adaptation;
  parameters?: LayerParameters;
}

/** y = x W^T + bias, and what the adaptation makes of it. x [rows, in] -> [rows, out] */
export function linear(x: Tensor2D, { weight, bias, site }: Linear, pass: LinearPass = {}): Tensor2D {
  const { adaptation, parameters } = pass;
  return tf.tidy(() => {
    const y = frozenLinear(x, weight, bias);
    if (!site || !adaptation?.adapts?.(site.group)) return y;
    const own = parameters ?? adaptation.parameters(site.block, site.group);
    return adaptation.apply(site, x, y, own, () => frozenTransposed(weight), bias);
  });
}

/** The pixels of pictures [pictures, height, width, channels] as rows. */
export const rowsOf = (x: Tensor4D): Tensor2D => tf.reshape(x, [x.size / x.shape[3], x.shape[3]]);

/** A linear over every pixel. */
export function pointwise(x: Tensor4D, weights: Linear, pass?: LinearPass): Tensor4D {
  const [pictures, height, width] = x.shape;
  return tf.tidy(() => tf.reshape(linear(rowsOf(x), weights, pass), [pictures, height, width, -1]));
}
