import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fullAttention } from '../../../engine/full-attention.ts';
import { activated, layerNorm, type LayerNorm } from '../../../engine/fused.ts';
import type { EncoderConfig } from './config.ts';
import { patchLinear, type VisionLoader } from './loader.ts';
import { linear, towerLayer, type LinearPass, type SeeingPass, type VisionLinear } from './parts.ts';

interface EncoderLayer {
  norm1: LayerNorm;
  query: VisionLinear;
  key: VisionLinear;
  value: VisionLinear;
  out: VisionLinear;
  norm2: LayerNorm;
  up: VisionLinear;
  down: VisionLinear;
}

/** SigLIP's (arXiv 2303.15343) and CLIP's (arXiv 2103.00020) weights; what only one of the two has is optional. */
export interface EncoderWeights {
  patches: VisionLinear;
  /** [patches (+ 1), hidden] */
  positions: Tensor2D;
  /** CLIP: what stands before the patches, and a norm before the first layer */
  classToken?: Tensor1D;
  before?: LayerNorm;
  layers: EncoderLayer[];
  /** SigLIP: after the last layer */
  after?: LayerNorm;
}

export async function loadEncoder(config: EncoderConfig, loader: VisionLoader): Promise<EncoderWeights> {
  const { kind, hiddenSize: hidden, patchSize: patch, intermediateSize: inner } = config;
  const clip = kind === 'clip';
  const patches = Math.floor(config.imageSize / patch) ** 2;
  const layers: EncoderLayer[] = [];
  const weights = {
    patches: await patchLinear(loader, 'tower.embeddings.patch_embedding', [hidden, 3, patch, patch], !clip),
    positions: (await loader.tensor('tower.embeddings.position_embedding.weight', [
      patches + Number(clip),
      hidden,
    ])) as Tensor2D,
    classToken: clip ? ((await loader.tensor('tower.embeddings.class_embedding', [hidden])) as Tensor1D) : undefined,
    before: clip ? await loader.norm('tower.pre_layrnorm', hidden) : undefined,
    layers,
    after: clip ? undefined : await loader.norm('tower.post_layernorm', hidden),
  };
  for (let i = 0; i < config.layers; i++) {
    const layer = `tower.encoder.layers.${i}`;
    const square = (name: string) => loader.linear(`${layer}.self_attn.${name}_proj`, hidden, hidden);
    layers.push({
      norm1: await loader.norm(`${layer}.layer_norm1`, hidden),
      query: await square('q'),
      key: await square('k'),
      value: await square('v'),
      out: await square('out'),
      norm2: await loader.norm(`${layer}.layer_norm2`, hidden),
      up: await loader.linear(`${layer}.mlp.fc1`, inner, hidden),
      down: await loader.linear(`${layer}.mlp.fc2`, hidden, inner),
    });
  }
  return weights;
}

/** Patches [pictures * patches, 3 * patch * patch] of whole pictures -> [pictures * tokens, hidden], CLIP's class token first. */
export function encode(
  patches: Tensor2D,
  config: EncoderConfig,
  weights: EncoderWeights,
  pass: SeeingPass = {},
): Tensor2D {
  return tf.tidy(() => {
    const perPicture = Math.floor(config.imageSize / config.patchSize) ** 2;
    const pictures = patches.shape[0] / perPicture;
    const x = weights.layers.reduce(
      (value, layer, block) =>
        towerLayer((input, own) => encoderLayer(input, layer, config, pictures, own), value, block, pass),
      embedded(linear(patches, weights.patches), pictures, config, weights),
    );
    return weights.after ? layerNorm(x, weights.after, config.epsilon) : x;
  });
}

function embedded(x: Tensor2D, pictures: number, config: EncoderConfig, weights: EncoderWeights): Tensor2D {
  const hidden = config.hiddenSize;
  const rows = tf.reshape(x, [pictures, -1, hidden]);
  const { classToken } = weights;
  const whole = classToken
    ? tf.concat([tf.tile(tf.reshape(classToken, [1, 1, hidden]), [pictures, 1, 1]), rows], 1)
    : rows;
  const placed = tf.reshape(tf.add(whole, weights.positions), [-1, hidden]) as Tensor2D;
  return weights.before ? layerNorm(placed, weights.before, config.epsilon) : placed;
}

function encoderLayer(
  x: Tensor2D,
  layer: EncoderLayer,
  config: EncoderConfig,
  pictures: number,
  pass: LinearPass,
): Tensor2D {
  return tf.tidy(() => {
    const input = layerNorm(x, layer.norm1, config.epsilon);
    const [q, k, v] = [layer.query, layer.key, layer.value].map((each) => linear(input, each, pass)) as [Tensor2D, Tensor2D, Tensor2D]; // prettier-ignore
    const middle = tf.add<Tensor2D>(x, linear(fullAttention(q, k, v, pictures, config.heads), layer.out, pass));
    const up = activated(linear(layerNorm(middle, layer.norm2, config.epsilon), layer.up, pass), config.activation);
    return tf.add<Tensor2D>(middle, linear(up, layer.down, pass));
  });
}
