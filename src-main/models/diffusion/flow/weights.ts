import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { DiffusionLoader } from '../loader.ts';
import type { Linear } from '../parts/linear.ts';
import type { FlowTransformerConfig } from './config.ts';
import { flowBlocks, flowLinears, flowSite } from './layout.ts';

export interface FlowBlockWeights {
  query: Linear;
  key: Linear;
  value: Linear;
  out: Linear;
  gate: Linear;
  up: Linear;
  down: Linear;
  queryNorm?: Tensor1D;
  keyNorm?: Tensor1D;
  /** before and behind attention, before and behind feed-forward */
  norms: { before: Tensor1D; behind: Tensor1D; beforeInner: Tensor1D; behindInner: Tensor1D };
  /** from the time's features to scale and gate of attention, and of feed-forward; undefined: a block over the text */
  modulation?: Linear;
}

export interface FlowWeights {
  patches: Linear;
  time: { first: Linear; second: Linear };
  text: { norm: Tensor1D; linear: Linear };
  /** what stands where a sequence is filled up, [1, width] */
  padding: { picture: Tensor2D; text: Tensor2D };
  /** in the order of the forward pass */
  blocks: FlowBlockWeights[];
  final: { scale: Linear; linear: Linear };
}

/** Sinusoids of the time, and the features between its two linears, as diffusers has them. */
export const TIME_SINUSOIDS = 256;
const TIME_INNER = 1024;
const MOST_TIME_FEATURES = 256;
/** A patch is so many latents high and wide. */
export const PATCH = 2;

export async function loadFlowTransformer(
  config: FlowTransformerConfig,
  loader: DiffusionLoader,
): Promise<FlowWeights> {
  const { width, contextWidth, channels } = config;
  const patch = PATCH * PATCH * channels;
  const timeWidth = Math.min(width, MOST_TIME_FEATURES);
  const held = { held: true };
  const vector = async (name: string, size: number) => (await loader.tensor(name, [size])) as Tensor1D;
  const token = async (name: string) => (await loader.tensor(name, [1, width])) as Tensor2D;
  const final = `all_final_layer.${PATCH}-1`;
  const weights: FlowWeights = {
    patches: await loader.linear(`all_x_embedder.${PATCH}-1`, width, patch),
    time: {
      first: await loader.linear('t_embedder.mlp.0', TIME_INNER, TIME_SINUSOIDS),
      second: await loader.linear('t_embedder.mlp.2', timeWidth, TIME_INNER),
    },
    text: {
      norm: await vector('cap_embedder.0.weight', contextWidth),
      linear: await loader.linear('cap_embedder.1', width, contextWidth, held),
    },
    padding: { picture: await token('x_pad_token'), text: await token('cap_pad_token') },
    blocks: [],
    final: {
      scale: await loader.linear(`${final}.adaLN_modulation.1`, width, timeWidth),
      linear: await loader.linear(`${final}.linear`, patch, width),
    },
  };
  for (const { name, number, sees } of flowBlocks(config)) {
    const linears: Linear[] = [];
    for (const [inside, out, inFeatures] of flowLinears(config))
      linears.push(await loader.linear(`${name}.${inside}`, out, inFeatures, { biased: false, site: flowSite(number, inside) })); // prettier-ignore
    const [query, key, value, out, gate, up, down] = linears as [Linear, Linear, Linear, Linear, Linear, Linear, Linear]; // prettier-ignore
    const norm = (inside: string, size = width) => vector(`${name}.${inside}.weight`, size);
    const headNorm = (inside: string) =>
      config.headNorms ? norm(`attention.${inside}`, width / config.heads) : undefined;
    weights.blocks.push({
      ...{ query, key, value, out, gate, up, down },
      ...{ queryNorm: await headNorm('norm_q'), keyNorm: await headNorm('norm_k') },
      norms: {
        ...{ before: await norm('attention_norm1'), behind: await norm('attention_norm2') },
        ...{ beforeInner: await norm('ffn_norm1'), behindInner: await norm('ffn_norm2') },
      },
      modulation:
        sees === 'text' ? undefined : await loader.linear(`${name}.adaLN_modulation.0`, 4 * width, timeWidth, held),
    });
  }
  return weights;
}
