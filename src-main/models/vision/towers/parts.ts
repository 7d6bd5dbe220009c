import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { frozenLinear, frozenTransposed } from '../../../engine/frozen.ts';
import { rmsNorm } from '../../../engine/fused.ts';
import { PackedMatrix, type FrozenMatrix } from '../../../engine/packed.ts';
import { repeated } from '../../../engine/repeated.ts';
import { recomputed } from '../../recompute.ts';
import type { Adaptation, LayerParameters } from '../../types.ts';
import { seeingSite, TOWER } from './sites.ts';

/** weight [out, in] as in the file */
export interface VisionLinear {
  /** of the one form that towers have here; undefined: it is not adapted */
  name?: string;
  weight: FrozenMatrix;
  bias?: Tensor1D;
}

/** How pictures go through tower and connector. */
export interface SeeingPass {
  adaptation?: Adaptation;
  /** keep only the input of each of the tower's layers for backward */
  recompute?: boolean;
}

/** How rows go through a linear: with what is adapted, and its block's tensors where they are at hand. */
export interface LinearPass {
  adaptation?: Adaptation;
  parameters?: LayerParameters;
}

/** y = x W^T + bias, and what the adaptation makes of it. */
export function linear(
  x: Tensor2D,
  { name, ...frozen }: VisionLinear,
  { adaptation, parameters }: LinearPass = {},
): Tensor2D {
  return tf.tidy(() => {
    const { weight: matrix } = frozen;
    const weight = adapted(`${name}.weight`, matrix, adaptation);
    const bias = frozen.bias && adapted(`${name}.bias`, frozen.bias, adaptation);
    // A tensor may be one that learns, and its bias with it.
    const y = weight instanceof PackedMatrix ? frozenLinear(x, weight, bias) : plus(tf.matMul(x, weight, false, true), bias); // prettier-ignore
    const site = adaptation && name !== undefined && seeingSite(name);
    if (!site || !adaptation.adapts?.(site.group)) return y;
    const own = parameters ?? adaptation.parameters(site.block, site.group);
    return adaptation.apply(site, x, y, own, () => frozenTransposed(weight), bias);
  });
}

const plus = (y: Tensor2D, bias: Tensor1D | undefined): Tensor2D => (bias ? tf.add<Tensor2D>(y, bias) : y);

/** A tensor, or what the adaptation has in its place. */
export function adapted<T extends Tensor1D | FrozenMatrix>(
  name: string,
  frozen: T,
  adaptation?: Adaptation,
): T | Exclude<T, PackedMatrix> {
  const whole = adaptation?.whole?.(name);
  return whole ? (tf.reshape(whole, frozen.shape) as Exclude<T, PackedMatrix>) : frozen;
}

/** An RMSNorm whose weight may be trained. */
export function adaptedNorm(
  x: Tensor2D,
  name: string,
  frozen: Tensor1D,
  epsilon: number,
  adaptation?: Adaptation,
): Tensor2D {
  const weight = adapted(name, frozen, adaptation);
  // The norm itself has no gradient for its weight.
  return weight === frozen
    ? rmsNorm(x, frozen, epsilon)
    : tf.tidy(() => tf.mul(rmsNorm(x, tf.onesLike(frozen), epsilon), weight));
}

/** One of the tower's layers; backward runs it again where that is wanted and anything of the tower learns. */
export function towerLayer(
  layer: (x: Tensor2D, pass: LinearPass) => Tensor2D,
  x: Tensor2D,
  block: number,
  { adaptation, recompute }: SeeingPass,
): Tensor2D {
  if (!adaptation?.adapts?.(TOWER)) return layer(x, {});
  const run = (input: Tensor2D, parameters: LayerParameters) => layer(input, { adaptation, parameters });
  const parameters = adaptation.parameters(block, TOWER);
  return repeated(recompute ? (input, own: LayerParameters) => recomputed(run, input, own) : run, x, parameters);
}
