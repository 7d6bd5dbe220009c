import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { UserError } from '../engine/types.ts';
import { DECODER_SITES, type ModelConfig, type ModelFile, type SiteName } from './types.ts';

/** A frozen linear: weight [out, in] as in the file, so that nothing is transposed while loading; bias [out]. */
export interface Linear {
  weight: Tensor2D;
  bias?: Tensor1D;
}

/** The frozen tensors of one block. Norm weights are what x is multiplied by (gemma's 1 + w is already applied). */
export interface LayerWeights {
  linears: Record<SiteName, Linear>;
  inputNorm: Tensor1D;
  postAttentionNorm: Tensor1D;
  /** gemma3: before and after the MLP */
  preMlpNorm?: Tensor1D;
  postMlpNorm?: Tensor1D;
  queryNorm?: Tensor1D;
  keyNorm?: Tensor1D;
}

export interface ModelWeights {
  /** [vocabulary, hidden] */
  embedding: Tensor2D;
  layers: LayerWeights[];
  norm: Tensor1D;
  /** [vocabulary, hidden]; the embedding itself where they are tied */
  head: Tensor2D;
}

const SITES_OF_ATTENTION: SiteName[] = ['q_proj', 'k_proj', 'v_proj', 'o_proj'];
const SITES_OF_MLP: SiteName[] = ['gate_proj', 'up_proj', 'down_proj'];

/** Features into and out of each adapted linear. */
export function siteWidths(config: ModelConfig): Record<SiteName, { inFeatures: number; outFeatures: number }> {
  const { hiddenSize: hidden, intermediateSize: inner } = config;
  const query = config.attentionHeads * config.headSize;
  const key = config.keyValueHeads * config.headSize;
  return {
    q_proj: { inFeatures: hidden, outFeatures: query },
    k_proj: { inFeatures: hidden, outFeatures: key },
    v_proj: { inFeatures: hidden, outFeatures: key },
    o_proj: { inFeatures: query, outFeatures: hidden },
    gate_proj: { inFeatures: hidden, outFeatures: inner },
    up_proj: { inFeatures: hidden, outFeatures: inner },
    down_proj: { inFeatures: inner, outFeatures: hidden },
  };
}

/** Every linear that can be adapted, by layer and then in METHOD.md's order. */
export function modelSites(config: ModelConfig) {
  const widths = siteWidths(config);
  return Array.from({ length: config.layers }, (_, layer) =>
    DECODER_SITES.map((site) => ({ layer, site, ...widths[site] })),
  ).flat();
}

/** Reads every weight as f32, tensor by tensor. @throws UserError for a tensor that is missing or of another shape */
export async function loadWeights(file: ModelFile): Promise<ModelWeights> {
  const { config } = file;
  const shapes = new Map(file.tensors.map((tensor) => [tensor.name, tensor.shape]));
  const load = async (name: string, shape: number[]) => {
    const found = shapes.get(name);
    if (!found || found.join() !== shape.join())
      throw new UserError(
        `${file.path}: the tensor "${name}" is ${found ? found.join(' x ') : 'missing'} where ${shape.join(' x ')} is needed`,
      );
    return tf.keep(tf.tensor(await file.readTensor(name), shape));
  };
  const norm = async (name: string, size: number) => {
    const weight = (await load(name, [size])) as Tensor1D;
    if (!config.gemmaNorms) return weight;
    const plusOne = tf.keep(tf.add<Tensor1D>(weight, 1));
    weight.dispose();
    return plusOne;
  };
  const embedding = (await load('model.embed_tokens.weight', [config.vocabularySize, config.hiddenSize])) as Tensor2D;
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < config.layers; layer++) layers.push(await loadLayer(config, layer, load, norm));
  return {
    embedding,
    layers,
    norm: await norm('model.norm.weight', config.hiddenSize),
    head: config.tiedEmbeddings
      ? embedding
      : ((await load('lm_head.weight', [config.vocabularySize, config.hiddenSize])) as Tensor2D),
  };
}

async function loadLayer(
  config: ModelConfig,
  layer: number,
  load: (name: string, shape: number[]) => Promise<tf.Tensor>,
  norm: (name: string, size: number) => Promise<Tensor1D>,
): Promise<LayerWeights> {
  const prefix = `model.layers.${layer}`;
  const widths = siteWidths(config);
  const linears = {} as Record<SiteName, Linear>;
  for (const site of [...SITES_OF_ATTENTION, ...SITES_OF_MLP]) {
    const attention = SITES_OF_ATTENTION.includes(site);
    const name = `${prefix}.${attention ? 'self_attn' : 'mlp'}.${site}`;
    const { inFeatures, outFeatures } = widths[site];
    const biased = attention
      ? config.attentionBias === 'all' || (config.attentionBias === 'qkv' && site !== 'o_proj')
      : config.mlpBias;
    linears[site] = {
      weight: (await load(`${name}.weight`, [outFeatures, inFeatures])) as Tensor2D,
      bias: biased ? ((await load(`${name}.bias`, [outFeatures])) as Tensor1D) : undefined,
    };
  }
  const { hiddenSize, headSize, gemmaNorms, queryKeyNorm } = config;
  return {
    linears,
    inputNorm: await norm(`${prefix}.input_layernorm.weight`, hiddenSize),
    postAttentionNorm: await norm(`${prefix}.post_attention_layernorm.weight`, hiddenSize),
    preMlpNorm: gemmaNorms ? await norm(`${prefix}.pre_feedforward_layernorm.weight`, hiddenSize) : undefined,
    postMlpNorm: gemmaNorms ? await norm(`${prefix}.post_feedforward_layernorm.weight`, hiddenSize) : undefined,
    queryNorm: queryKeyNorm ? await norm(`${prefix}.self_attn.q_norm.weight`, headSize) : undefined,
    keyNorm: queryKeyNorm ? await norm(`${prefix}.self_attn.k_norm.weight`, headSize) : undefined,
  };
}

/** Frees every tensor. */
export function disposeWeights(weights: ModelWeights): void {
  tf.dispose([weights.embedding, weights.norm, weights.head, weights.layers] as unknown as tf.TensorContainer);
}
