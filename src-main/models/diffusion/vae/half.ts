import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { doubled, type Walk } from '../../../engine/convolution.ts';
import { groupNorm } from '../../../engine/group-norm.ts';
import type { DiffusionLoader } from '../loader.ts';
import { fullAttention } from '../../../engine/full-attention.ts';
import { linear, rowsOf, type Linear } from '../parts/linear.ts';
import { convolve, loadResnet, resnet, type Convolution, type Norm, type ResnetWeights } from '../parts/resnet.ts';
import type { VaeConfig } from './config.ts';

interface Level {
  resnets: ResnetWeights[];
  sampler?: Convolution;
}

interface Middle {
  resnets: ResnetWeights[];
  attention?: { norm: Norm; query: Linear; key: Linear; value: Linear; out: Linear };
}

/** An encoder or a decoder: they differ in their order and in what leads from level to level. */
export interface VaeHalf {
  in: Convolution;
  levels: Level[];
  middle: Middle;
  norm: Norm;
  out: Convolution;
}

const EPSILON = 1e-6;
/** Down to the half: a row and a column of zeros behind. */
const HALVING: Walk = { padding: [0, 1], stride: 2 };

export async function loadHalf(
  kind: 'encoder' | 'decoder',
  config: VaeConfig,
  loader: DiffusionLoader,
): Promise<VaeHalf> {
  const { channels: downwards, layers, groups, pictureChannels, latentChannels } = config;
  const isEncoder = kind === 'encoder';
  const channels = isEncoder ? downwards : downwards.toReversed();
  const [first, last, deepest] = [channels[0]!, channels.at(-1)!, downwards.at(-1)!];
  const [given, made] = isEncoder ? [pictureChannels, 2 * latentChannels] : [latentChannels, pictureChannels];
  const resnets = async (name: string, count: number, from: number, to: number) => {
    const loaded: ResnetWeights[] = [];
    for (let i = 0; i < count; i++)
      loaded.push(
        await loadResnet(loader, {
          ...{ name: `${name}.resnets.${i}`, inChannels: i === 0 ? from : to, outChannels: to },
          ...{ groups, epsilon: EPSILON },
        }),
      );
    return loaded;
  };
  const levels: Level[] = [];
  for (const [i, width] of channels.entries()) {
    const name = `${kind}.${isEncoder ? 'down' : 'up'}_blocks.${i}`;
    const sampler = `${name}.${isEncoder ? 'down' : 'up'}samplers.0.conv`;
    levels.push({
      resnets: await resnets(name, isEncoder ? layers : layers + 1, channels[i - 1] ?? width, width),
      sampler: i === channels.length - 1 ? undefined : await loader.convolution(sampler, width, width),
    });
  }
  return {
    in: await loader.convolution(`${kind}.conv_in`, first, given),
    levels,
    middle: {
      resnets: await resnets(`${kind}.mid_block`, 2, deepest, deepest),
      attention: config.attends ? await loadAttention(`${kind}.mid_block.attentions.0`, deepest, loader) : undefined,
    },
    norm: await loader.norm(`${kind}.conv_norm_out`, last),
    out: await loader.convolution(`${kind}.conv_out`, made, last),
  };
}

async function loadAttention(name: string, channels: number, loader: DiffusionLoader) {
  const square = (inside: string) => loader.linear(`${name}.${inside}`, channels, channels);
  return {
    norm: await loader.norm(`${name}.group_norm`, channels),
    ...{ query: await square('to_q'), key: await square('to_k'), value: await square('to_v') },
    out: await square('to_out.0'),
  };
}

/**
 * The next of a chain; what it is made of leaves memory at once, as each link is as large as many pictures. Nothing learns here, so that
 * no gradient asks for it later.
 */
function next(x: Tensor4D, link: (x: Tensor4D) => Tensor4D): Tensor4D {
  const made = tf.tidy(() => link(x));
  x.dispose();
  return made;
}

/** Pictures to what their latents are made of. */
export function encodeHalf(pictures: Tensor4D, half: VaeHalf, groups: number): Tensor4D {
  let x = convolve(pictures, half.in);
  for (const { resnets, sampler } of half.levels) {
    for (const weights of resnets) x = next(x, (from) => resnet(from, weights, { groups, epsilon: EPSILON }));
    if (sampler) x = next(x, (from) => convolve(from, sampler, HALVING));
  }
  return next(through(x, half.middle, groups), (from) => finish(from, half, groups));
}

/** Latents to pictures. */
export function decodeHalf(latents: Tensor4D, half: VaeHalf, groups: number): Tensor4D {
  let x = through(convolve(latents, half.in), half.middle, groups);
  for (const { resnets, sampler } of half.levels) {
    for (const weights of resnets) x = next(x, (from) => resnet(from, weights, { groups, epsilon: EPSILON }));
    if (sampler) x = next(next(x, doubled), (from) => convolve(from, sampler));
  }
  return next(x, (from) => finish(from, half, groups));
}

function finish(x: Tensor4D, { norm, out }: VaeHalf, groups: number): Tensor4D {
  return convolve(groupNorm(x, norm.weight, norm.bias, { groups, epsilon: EPSILON, silu: true }), out);
}

/** @param x is disposed */
function through(x: Tensor4D, { resnets, attention }: Middle, groups: number): Tensor4D {
  const [before, after] = resnets as [ResnetWeights, ResnetWeights];
  const first = next(x, (from) => resnet(from, before, { groups, epsilon: EPSILON }));
  const seen = attention ? next(first, (from) => tf.add<Tensor4D>(from, attended(from, attention, groups))) : first;
  return next(seen, (from) => resnet(from, after, { groups, epsilon: EPSILON }));
}

/** One head over all pixels. */
function attended(x: Tensor4D, weights: NonNullable<Middle['attention']>, groups: number): Tensor4D {
  return tf.tidy(() => {
    const { norm, query, key, value, out } = weights;
    const rows = rowsOf(groupNorm(x, norm.weight, norm.bias, { groups, epsilon: EPSILON }));
    const seen = fullAttention(linear(rows, query), linear(rows, key), linear(rows, value), x.shape[0], 1);
    return tf.reshape(linear(seen, out), x.shape);
  });
}
