import * as tf from '@tensorflow/tfjs-core';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { headsPerSite } from '../../src-main/effilora/methods/structure.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import type { AdapterOptions } from '../../src-main/effilora/types.ts';
import type { FrozenMatrix } from '../../src-main/engine/packed.ts';
import { CausalLM } from '../../src-main/models/causal-lm.ts';
import { DECODER_SITES, type ModelConfig, type TokenBatch } from '../../src-main/models/types.ts';
import { siteWidths, type LayerWeights } from '../../src-main/models/weights.ts';
import { nextTokenObjective } from '../../src-main/tasks/next-token.ts';
import { TrainingStep, type StepOptions } from '../../src-main/trainer/step.ts';

/** A small llama's configuration; `changes` over it. */
export const llamaConfig = (changes: Partial<ModelConfig> = {}): ModelConfig => ({
  ...{ architecture: 'llama', layers: 2, hiddenSize: 64, intermediateSize: 176, attentionHeads: 4, keyValueHeads: 2 },
  ...{ headSize: 16, vocabularySize: 2048, contextLength: 512, normEpsilon: 1e-5, rope: { theta: 1e4 } },
  ...{ tiedEmbeddings: true, activation: 'silu', attentionBias: 'none', mlpBias: false, queryKeyNorm: false },
  ...{ attentionScale: 16 ** -0.5, slidingWindow: [], gemmaNorms: false, eosTokenIds: [] },
  ...changes,
});

/** EffiLoRA of rank 16 with 3 heads on all seven sites. */
export const EFFILORA: AdapterOptions = {
  ...{ name: 'effilora', rank: 16, heads: 3, alpha: 32, targets: [...DECODER_SITES], share: 'global' },
  ...{ router: 'site', dropout: 0, rsLora: false, dora: false },
};

/** Frozen numbers of a model of that configuration, but for its norms'. */
export function parametersOf(config: ModelConfig): number {
  const widths = Object.values(siteWidths(config));
  const layer = widths.reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures * outFeatures, 0);
  return config.layers * layer + config.vocabularySize * config.hiddenSize;
}

type Matrix = (rows: number, width: number) => FrozenMatrix | Promise<FrozenMatrix>;

const random: Matrix = (rows, width) => tf.keep(tf.randomNormal<tf.Rank.R2>([rows, width], 0, 0.05, 'float32', 3));

/** A model of that configuration on the engine in use. */
async function modelOf(config: ModelConfig, matrix: Matrix): Promise<CausalLM> {
  const norm = (size: number) => tf.keep(tf.ones<tf.Rank.R1>([size]));
  const widths = siteWidths(config);
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const linears = {} as LayerWeights['linears'];
    for (const site of DECODER_SITES)
      linears[site] = { weight: await matrix(widths[site].outFeatures, widths[site].inFeatures) };
    layers.push({ linears, inputNorm: norm(config.hiddenSize), postAttentionNorm: norm(config.hiddenSize) });
  }
  const embedding = await matrix(config.vocabularySize, config.hiddenSize);
  return new CausalLM(config, { embedding, layers, norm: norm(config.hiddenSize), head: embedding });
}

/** Rows of tokens that carry labels all. */
export function randomBatch({ vocabularySize }: ModelConfig, rows: number, length: number): TokenBatch {
  const tokens = rows * length;
  const inputIds = Int32Array.from({ length: tokens }, (_, t) => (t * 7919 + 13) % vocabularySize);
  const positions = inputIds.map((_, t) => t % length);
  return { rows, length, inputIds, labels: inputIds, positions, segments: new Int32Array(tokens) };
}

/** A training step of EFFILORA on a model with those matrices, random ones in f32 by default, ready to run. */
export async function randomStep(
  config: ModelConfig,
  { recompute, precision }: Pick<StepOptions, 'recompute' | 'precision'>,
  matrix = random,
): Promise<TrainingStep> {
  const model = await modelOf(config, matrix);
  const adapter = new Adapter(model.sites(), EFFILORA, 1);
  const reducer = new Reducer(adapter.heads, headsPerSite(adapter.options), {
    ...{ ratio: 0, warmup: 1, interval: 1000, beta: 0.85, policy: 'topk', temperature: 1 },
    ...{ schedule: 'step', probe: true, minActivePerSite: 0, seed: 1 },
  });
  return new TrainingStep(nextTokenObjective(model), adapter, new AdamW(adapter.trainables, ADAMW_DEFAULTS), reducer, {
    ...{ routerShare: true, recompute, precision, seed: 1 },
  });
}
