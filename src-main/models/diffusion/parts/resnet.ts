import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import {
  flatFilter,
  frozenConvolution,
  IN_PLACE,
  kernelOf,
  Patches,
  type FrozenFilter,
  type Walk,
} from '../../../engine/convolution.ts';
import { groupNorm } from '../../../engine/group-norm.ts';
import type { DiffusionLoader } from '../loader.ts';
import type { DiffusionSite, DiffusionSiteShape } from '../site.ts';
import { linear, pointwise, rowsOf, type Linear, type LinearPass } from './linear.ts';

export interface Convolution {
  filter: FrozenFilter;
  bias: Tensor1D;
  /** undefined: it is not adapted */
  site?: DiffusionSite;
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
  /** its number among a UNet's blocks; undefined: it is not adapted */
  block?: number;
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

/** How many pixels a side its convolutions see. */
const KERNEL = 3;

/** A convolution of a residual block, or of what leads from its level to the next, as adapters name it. */
export const convolutionSite = (block: number | undefined, site: string): DiffusionSite | undefined =>
  block === undefined ? undefined : { group: 'unet', block, site: `unet.${site}` };

/** What an adapter knows of one. @param kernel 1: it is a linear over every pixel */
export function convolutionShape(
  block: number,
  site: string,
  path: string,
  [channels, out]: [number, number],
  kernel = KERNEL,
): DiffusionSiteShape {
  const kind = kernel === 1 ? { kind: 'linear' as const } : { kind: 'conv' as const, kernel };
  return { ...convolutionSite(block, site)!, path, ...kind, inFeatures: kernel ** 2 * channels, outFeatures: out, reads: 'self' }; // prettier-ignore
}

/** The convolutions that can be adapted and the linear of the time, in the order of the forward pass. */
export function resnetSites({ name, block, inChannels, outChannels, timeWidth }: ResnetShape): DiffusionSiteShape[] {
  if (block === undefined) return [];
  const all = [
    convolutionShape(block, 'conv1', `${name}.conv1`, [inChannels, outChannels]),
    convolutionShape(block, 'conv2', `${name}.conv2`, [outChannels, outChannels]),
  ];
  if (timeWidth !== undefined)
    all.splice(1, 0, convolutionShape(block, 'time_emb_proj', `${name}.time_emb_proj`, [timeWidth, outChannels], 1));
  if (inChannels === outChannels) return all;
  return [...all, convolutionShape(block, 'conv_shortcut', `${name}.conv_shortcut`, [inChannels, outChannels], 1)];
}

export async function loadResnet(loader: DiffusionLoader, shape: ResnetShape): Promise<ResnetWeights> {
  const { name, inChannels, outChannels, timeWidth, block } = shape;
  const site = (own: string) => convolutionSite(block, own);
  return {
    norm1: await loader.norm(`${name}.norm1`, inChannels),
    conv1: await loader.convolution(`${name}.conv1`, outChannels, inChannels, site('conv1')),
    time:
      timeWidth === undefined
        ? undefined
        : await loader.linear(`${name}.time_emb_proj`, outChannels, timeWidth, { site: site('time_emb_proj') }),
    norm2: await loader.norm(`${name}.norm2`, outChannels),
    conv2: await loader.convolution(`${name}.conv2`, outChannels, outChannels, site('conv2')),
    shortcut:
      inChannels === outChannels
        ? undefined
        : await loader.linear(`${name}.conv_shortcut`, outChannels, inChannels, { site: site('conv_shortcut') }),
  };
}

/**
 * x + conv2(silu(norm2(conv1(silu(norm1(x))) + time))).
 * @param time silu of the time's features, [pictures, timeWidth]
 * @param pass with what is adapted; its parameters are found by each site
 */
export function resnet(
  x: Tensor4D,
  weights: ResnetWeights,
  grouping: Grouping,
  time?: Tensor2D,
  pass: LinearPass = {},
): Tensor4D {
  const options = { ...grouping, silu: true };
  return tf.tidy(() => {
    const { norm1, norm2, conv1, conv2 } = weights;
    const inner = tf.tidy(() => withoutBias(groupNorm(x, norm1.weight, norm1.bias, options), conv1, IN_PLACE, pass));
    // The bias and what the time adds are one number a channel each: the norm takes them on its way.
    const pictures = x.shape[0];
    const { bias } = conv1;
    const told = time && weights.time ? linear(time, weights.time, pass) : tf.zeros<tf.Rank.R2>([pictures, bias.size]);
    const shift = tf.add<Tensor2D>(told, bias);
    const out = tf.tidy(() => convolve(groupNorm(inner, norm2.weight, norm2.bias, options, shift), conv2, IN_PLACE, pass)); // prettier-ignore
    return tf.add<Tensor4D>(weights.shortcut ? pointwise(x, weights.shortcut, pass) : x, out);
  });
}

/** x with a frozen filter and its bias, and what the adaptation makes of it. */
export const convolve = (x: Tensor4D, weights: Convolution, walk: Walk = IN_PLACE, pass?: LinearPass): Tensor4D =>
  tf.tidy(() => tf.add<Tensor4D>(withoutBias(x, weights, walk, pass), weights.bias));

/** The same before the bias is added, which no adaptation changes. */
function withoutBias(x: Tensor4D, { filter, site }: Convolution, walk: Walk, pass: LinearPass = {}): Tensor4D {
  const { adaptation } = pass;
  return tf.tidy(() => {
    const y = frozenConvolution(x, filter, walk);
    if (!site || !adaptation?.adapts?.(site.group)) return y;
    const own = pass.parameters ?? adaptation.parameters(site.block, site.group);
    const rows = adaptation.apply(site, new Patches(x, kernelOf(filter), walk), rowsOf(y), own, () => flatFilter(filter)); // prettier-ignore
    return tf.reshape(rows, y.shape);
  });
}
