import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { packedKernels } from '../engine/frozen.ts';
import { PackedMatrix, type FrozenMatrix } from '../engine/packed.ts';
import { UserError } from '../engine/types.ts';
import { GGML_TYPES, type GgmlType } from './gguf/types.ts';
import { DECODER_SITES, type ModelConfig, type ModelFile, type SiteName } from './types.ts';
import { type HeldFormat, residentType } from './weight-format.ts';

/** A frozen linear: weight [out, in] as in the file, so that nothing is transposed while loading; bias [out]. */
export interface Linear {
  weight: FrozenMatrix;
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
  embedding: FrozenMatrix;
  layers: LayerWeights[];
  norm: Tensor1D;
  /** [vocabulary, hidden]; the embedding itself where they are tied */
  head: FrozenMatrix;
}

/** Its matrices, but for the head. */
export function matricesOf({ embedding, layers }: ModelWeights): FrozenMatrix[] {
  return [embedding, ...layers.flatMap(({ linears }) => Object.values(linears).map(({ weight }) => weight))];
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

/** Where a decoder's linear lies by Hugging Face's names: `model.layers.<i>.self_attn.<site>` or `model.layers.<i>.mlp.<site>`. */
export function linearPath(layer: number, site: string): string {
  const part = (SITES_OF_ATTENTION as string[]).includes(site) ? 'self_attn' : 'mlp';
  return `model.layers.${layer}.${part}.${site}`;
}

const decoderSite = (layer: number, site: SiteName) => ({
  path: linearPath(layer, site),
  block: layer,
  site,
  group: 'language',
  kind: 'linear' as const,
  reads: 'self' as const,
});

/** Every linear that can be adapted, by layer and then in the order of docs/method.md, Terms. */
export function modelSites(config: ModelConfig) {
  const widths = siteWidths(config);
  return Array.from({ length: config.layers }, (_, layer) =>
    DECODER_SITES.map((site) => ({ ...decoderSite(layer, site), ...widths[site] })),
  ).flat();
}

/**
 * Reads every weight. Matrices stay as `format` says where the engine has products for that, else they are unpacked to f32.
 * @throws UserError for a tensor that is missing or of another shape
 */
export async function loadWeights(file: ModelFile, format: HeldFormat): Promise<ModelWeights> {
  const { config } = file;
  const tensors = new Map(file.tensors.map((tensor) => [tensor.name, tensor]));
  const find = (name: string, shape: number[]) => {
    const found = tensors.get(name);
    if (found?.shape.join() === shape.join()) return found;
    throw new UserError(
      `${file.path}: the tensor "${name}" is ${found ? found.shape.join(' x ') : 'missing'} where ${shape.join(' x ')} is needed`,
    );
  };
  const load = async (name: string, shape: number[]) => {
    find(name, shape);
    return tf.keep(tf.tensor(await file.readTensor(name), shape));
  };
  const integers = format === 'integers';
  const [ofLinears, ofTokens] = format === 'integers' ? (['int8', 'auto'] as const) : ([format, format] as const);
  const matrix = async (name: string, rows: number, width: number, format = ofLinears): Promise<FrozenMatrix> => {
    const kernels = packedKernels();
    const inFile = find(name, [rows, width]).type;
    const wanted = residentType(inFile, width, format);
    const id = (type: string) => GGML_TYPES[type as GgmlType].id;
    // An engine that can't make the format wanted may still hold the file's. One may hold f32, too.
    const types = wanted ? [wanted, inFile] : inFile in GGML_TYPES ? ['f32'] : [];
    const type = types.find((each) => kernels?.holds(id(inFile), id(each), integers));
    if (!kernels || !type) return (await load(name, [rows, width])) as Tensor2D;
    return PackedMatrix.load(kernels, { ...file.place(name), format: id(inFile), rows, width }, id(type));
  };
  const norm = async (name: string, size: number) => {
    const weight = (await load(name, [size])) as Tensor1D;
    if (!config.gemmaNorms) return weight;
    const plusOne = tf.keep(tf.add<Tensor1D>(weight, 1));
    weight.dispose();
    return plusOne;
  };
  const embedding = await matrix('model.embed_tokens.weight', config.vocabularySize, config.hiddenSize, ofTokens);
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < config.layers; layer++)
    layers.push(await loadLayer(config, layer, { load, matrix, norm }));
  return {
    embedding,
    layers,
    norm: await norm('model.norm.weight', config.hiddenSize),
    head: config.tiedEmbeddings
      ? embedding
      : await matrix('lm_head.weight', config.vocabularySize, config.hiddenSize, ofTokens),
  };
}

interface Loaders {
  load(name: string, shape: number[]): Promise<tf.Tensor>;
  matrix(name: string, rows: number, width: number): Promise<FrozenMatrix>;
  norm(name: string, size: number): Promise<Tensor1D>;
}

async function loadLayer(config: ModelConfig, layer: number, { load, matrix, norm }: Loaders): Promise<LayerWeights> {
  const prefix = `model.layers.${layer}`;
  const widths = siteWidths(config);
  const linears = {} as Record<SiteName, Linear>;
  for (const site of [...SITES_OF_ATTENTION, ...SITES_OF_MLP]) {
    const attention = SITES_OF_ATTENTION.includes(site);
    const name = linearPath(layer, site);
    const { inFeatures, outFeatures } = widths[site];
    const biased = attention
      ? config.attentionBias === 'all' || (config.attentionBias === 'qkv' && site !== 'o_proj')
      : config.mlpBias;
    linears[site] = {
      weight: await matrix(`${name}.weight`, outFeatures, inFeatures),
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

/** Frees every tensor and matrix. */
export function disposeWeights({ embedding, head, norm, layers }: ModelWeights): void {
  const matrices = new Set([embedding, head]); // one, where they are tied
  for (const { linears, ...norms } of layers) {
    tf.dispose(norms as tf.TensorContainer);
    for (const { weight, bias } of Object.values(linears)) {
      matrices.add(weight);
      bias?.dispose();
    }
  }
  for (const matrix of matrices) matrix.dispose();
  norm.dispose();
}
