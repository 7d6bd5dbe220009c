import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { asTensors, type Feeds } from '../../models/feeds.ts';
import type { Objective, Passes } from '../task.ts';
import type { NoisedBatch } from './batch.ts';
import type { NoiseNetwork } from './network.ts';

/** A batch on the engine. */
export interface NoisedTensors {
  /** [pictures, height, width, channels] */
  noised: Tensor4D;
  target: Tensor4D;
  /** [pictures] */
  weights: Tensor1D;
  /** as the UNet takes them */
  time: Tensor2D;
  context: Tensor2D;
  pooled?: Tensor2D;
  sizes?: Tensor2D;
}

/**
 * How far the network's prediction is from its target: of each picture the mean of the squares over its latents, times its weight, summed
 * over the pictures of a batch. A step is divided by its pictures.
 */
export function noiseObjective(model: NoiseNetwork): Objective<NoisedBatch, NoisedTensors> {
  const forward = ({ noised, ...told }: NoisedTensors, { adaptation, recompute }: Passes): Tensor4D =>
    model.unet.predict(noised, told, { adaptation, recompute: Boolean(recompute) });
  return {
    model,
    withoutTerms: 'no picture; give it a dataset with some',
    terms: ({ pictures }) => pictures,
    units: ({ pictures }) => new Uint8Array(pictures).fill(1),
    parts: (batch) =>
      Object.fromEntries(
        Object.entries(model.rows(batch)).map(([name, count]) => [name, new Uint8Array(count).fill(1)]),
      ),
    tensors: (batch) => asNoised(asTensors(feedsOf(model, batch))),
    anyLength: false,
    // Each bucket has its graph; all pictures of a batch are whole.
    forGraph: (batch) => batch,
    feeds: (batch) => feedsOf(model, batch),
    fed: (inputs) => asNoised(inputs),
    forward,
    lossSum: (tensors, passes): Scalar =>
      tf.tidy(() => {
        const errors = tf.mean(tf.squaredDifference(forward(tensors, passes), tensors.target), [1, 2, 3]);
        return tf.sum(tf.mul(errors, tensors.weights));
      }),
  };
}

function feedsOf({ unet }: NoiseNetwork, batch: NoisedBatch): Feeds {
  const { pictures, height, width, channels, noised, target, weights, times, context, pooled, sizes } = batch;
  const shape = [pictures, height, width, channels];
  const { contextWidth, added } = unet.config;
  return {
    ...{ noised: { values: noised, shape }, target: { values: target, shape } },
    weights: { values: weights, shape: [pictures] },
    context: { values: context, shape: [context.length / contextWidth, contextWidth] },
    ...unet.timeFeeds(times),
    ...(added && { pooled: { values: pooled, shape: [pictures, pooled.length / pictures] }, ...unet.sizeFeeds(sizes) }),
  };
}

/** The feeds as tensors, and none of what else a step is fed. */
function asNoised({ noised, target, weights, time, context, pooled, sizes }: Record<string, Tensor>): NoisedTensors {
  return { noised, target, weights, time, context, ...(pooled && { pooled, sizes }) } as NoisedTensors;
}
