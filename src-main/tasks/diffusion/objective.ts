import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs-core';
import type { NetworkInputs } from '../../models/diffusion/pipeline/network.ts';
import { asTensors, type Feeds } from '../../models/feeds.ts';
import type { Objective, Passes } from '../task.ts';
import type { DiffusionBatch } from './batch.ts';
import type { DiffusionNetwork } from './network.ts';
import { noisedBatch, type NoisedBatch } from './noised.ts';

/** A batch on the engine. */
export interface NoisedTensors {
  /** [pictures, height, width, channels] */
  noised: Tensor4D;
  target: Tensor4D;
  /** [pictures] */
  weights: Tensor1D;
  /** what else it is fed: times, and texts as features or as tokens */
  told: Record<string, Tensor>;
}

/**
 * How far the network's prediction is from its target: of each picture the mean of the squares over its latents, times its weight, summed
 * over the pictures of a batch. A step is divided by its pictures.
 */
export function noiseObjective(network: DiffusionNetwork): Objective<DiffusionBatch, NoisedTensors> {
  const forward = (tensors: NoisedTensors, passes: Passes) => predicted(network, tensors, passes);
  return {
    model: network,
    withoutTerms: 'no picture; give it a dataset with some',
    terms: ({ drawn }) => drawn.length,
    units: ({ drawn }) => new Uint8Array(drawn.length).fill(1),
    parts: (batch) =>
      Object.fromEntries(
        Object.entries(network.rows(made(batch))).map(([name, count]) => [name, new Uint8Array(count).fill(1)]),
      ),
    async ready(batch, adaptation) {
      const withTexts = !network.readsAnew(adaptation);
      const noised = await noisedBatch(batch, network.parts, withTexts);
      network.parts.batchIsMade();
      return { ...batch, noised };
    },
    beforehand: (batches, adaptation, tell) => network.parts.lookAt(batches, !network.readsAnew(adaptation), tell),
    tensors(batch) {
      const feeds = feedsOf(network, made(batch));
      return asNoised(asTensors(feeds), feeds);
    },
    anyLength: false,
    // Each bucket has its graph; all pictures of a batch are whole.
    forGraph: (batch) => batch,
    feeds: (batch) => feedsOf(network, made(batch)),
    fed: (inputs, batch) => asNoised(inputs, feedsOf(network, made(batch))),
    forward,
    lossSum: (tensors, passes): Scalar =>
      tf.tidy(() => tf.sum(tf.mul(noiseErrors(network, tensors, passes), tensors.weights))),
  };
}

function predicted(
  { model: { network, texts } }: DiffusionNetwork,
  { noised, told }: NoisedTensors,
  { adaptation, recompute }: Passes,
): Tensor4D {
  const pass = { adaptation, recompute: Boolean(recompute) };
  if (told.context) return network.predict(noised, told as object as NetworkInputs, pass);
  return tf.tidy(() =>
    network.predict(noised, { ...told, ...texts.features(told, pass) } as object as NetworkInputs, pass),
  );
}

/** Of each picture the mean of the squares over its latents, [pictures]. */
export const noiseErrors = (network: DiffusionNetwork, tensors: NoisedTensors, passes: Passes): Tensor1D =>
  tf.tidy(() =>
    tf.mean<Tensor1D>(tf.squaredDifference(predicted(network, tensors, passes), tensors.target), [1, 2, 3]),
  );

function made({ noised }: DiffusionBatch): NoisedBatch {
  if (!noised) throw new Error('a batch of pictures is made ready before it is used');
  return noised;
}

function feedsOf({ model: { network, texts } }: DiffusionNetwork, batch: NoisedBatch): Feeds {
  const { pictures, height, width, channels, noised, target, weights, times, sizes } = batch;
  const shape = [pictures, height, width, channels];
  return {
    ...{ noised: { values: noised, shape }, target: { values: target, shape } },
    weights: { values: weights, shape: [pictures] },
    ...network.timeFeeds(times),
    ...network.sizeFeeds(sizes),
    ...('captions' in batch.texts ? texts.feeds(batch.texts.captions).feeds : textFeeds(batch.texts, pictures, network.contextWidth)), // prettier-ignore
  };
}

function textFeeds(
  { context, pooled }: { context: Float32Array; pooled: Float32Array },
  texts: number,
  width: number,
): Feeds {
  return {
    context: { values: context, shape: [context.length / width, width] },
    ...(pooled.length > 0 && { pooled: { values: pooled, shape: [texts, pooled.length / texts] } }),
  };
}

/** The feeds as tensors, and none of what else a step is fed. */
function asNoised(inputs: Record<string, Tensor>, feeds: Feeds): NoisedTensors {
  const { noised, target, weights } = inputs as { noised: Tensor4D; target: Tensor4D; weights: Tensor1D };
  const names = Object.keys(feeds).filter((name) => !['noised', 'target', 'weights'].includes(name));
  return { noised, target, weights, told: Object.fromEntries(names.map((name) => [name, inputs[name]!])) };
}
