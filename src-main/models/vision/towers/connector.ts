import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { activated } from '../../../engine/fused.ts';
import type { ConnectorConfig, EncoderConfig } from './config.ts';
import type { VisionLoader } from './loader.ts';
import { adapted, adaptedNorm, linear, type SeeingPass, type VisionLinear } from './parts.ts';

type EncoderConnector = Exclude<ConnectorConfig, { kind: 'merge' }>;

export interface ConnectorWeights {
  first: VisionLinear;
  second?: VisionLinear;
  norm?: Tensor1D;
}

export async function loadConnector(
  config: EncoderConnector,
  tower: EncoderConfig,
  loader: VisionLoader,
): Promise<ConnectorWeights> {
  const { outSize } = config;
  const hidden = tower.hiddenSize;
  switch (config.kind) {
    case 'shuffle': {
      const first = await loader.linear(
        'connector.modality_projection.proj',
        outSize,
        hidden * config.scale ** 2,
        false,
      );
      return { first };
    }
    case 'mlp': {
      const first = await loader.linear('connector.linear_1', outSize, hidden, config.bias);
      return { first, second: await loader.linear('connector.linear_2', outSize, outSize, config.bias) };
    }
    case 'pool': {
      // The file has it the other way round, and a norm's weight less 1.
      const [inputs, norm] = ['connector.mm_input_projection_weight', 'connector.mm_soft_emb_norm.weight'];
      const weight = (await loader.tensor(inputs!, [hidden, outSize], (values) => tf.transpose(values))) as Tensor2D;
      return { first: { weight }, norm: (await loader.tensor(norm!, [hidden], (values) => tf.add(values, 1))) as Tensor1D }; // prettier-ignore
    }
  }
}

/** A tower's output [pictures * tokens, hidden] -> the language model's embeddings [pictures * image tokens, outSize]. */
export function connect(
  x: Tensor2D,
  config: EncoderConnector,
  tower: EncoderConfig,
  weights: ConnectorWeights,
  { adaptation }: SeeingPass = {},
): Tensor2D {
  const side = Math.floor(tower.imageSize / tower.patchSize);
  return tf.tidy(() => {
    switch (config.kind) {
      case 'shuffle':
        return linear(blocks(x, side, config.scale), weights.first, { adaptation });
      case 'mlp': {
        const patches = config.dropClass ? withoutClass(x, side * side) : x;
        return linear(activated(linear(patches, weights.first, { adaptation }), config.activation), weights.second!, {
          adaptation,
        });
      }
      case 'pool': {
        const block = side / config.tokensPerSide;
        const pooled = tf.mean(tf.reshape(blocks(x, side, block), [-1, block ** 2, x.shape[1]]), 1);
        const name = 'connector.mm_soft_emb_norm.weight';
        const normed = adaptedNorm(pooled as Tensor2D, name, weights.norm!, config.epsilon, adaptation);
        return linear(normed, {
          weight: adapted('connector.mm_input_projection_weight', weights.first.weight as Tensor2D, adaptation),
        });
      }
    }
  });
}

/** The patches of each block of `block` x `block`, row by row, side by side (pixel shuffle): [blocks, block * block * hidden]. */
function blocks(x: Tensor2D, side: number, block: number): Tensor2D {
  const hidden = x.shape[1];
  const pictures = x.shape[0] / side ** 2;
  const count = side / block;
  const cut = tf.reshape(x, [pictures * count, block, count, block * hidden]);
  return tf.reshape(tf.transpose(cut, [0, 2, 1, 3]), [pictures * count * count, block * block * hidden]) as Tensor2D;
}

/** Without what stands before each picture's patches. */
function withoutClass(x: Tensor2D, patches: number): Tensor2D {
  const [tokens, hidden] = x.shape;
  const rows = tf.reshape(x, [tokens / (patches + 1), patches + 1, hidden]) as tf.Tensor3D;
  return tf.reshape(tf.slice(rows, [0, 1, 0], [-1, patches, -1]), [-1, hidden]) as Tensor2D;
}
