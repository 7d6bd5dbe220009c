// What the Configurator's tests plan for.
import type { EngineFacts, ModelFacts } from '../../src-main/effilora/memory-plan.ts';
import type { DataFacts } from '../../src-main/effilora/proposal.ts';
import { linear } from './support.ts';

export const GiB = 2 ** 30;

/** SmolLM2-135M. */
export const widths: Record<string, [number, number]> = {
  q_proj: [576, 576],
  k_proj: [576, 192],
  v_proj: [576, 192],
  o_proj: [576, 576],
  gate_proj: [576, 1536],
  up_proj: [576, 1536],
  down_proj: [1536, 576],
};
export const model: ModelFacts = {
  name: 'SmolLM2-135M',
  parameters: 134_515_008,
  layers: 30,
  hiddenSize: 576,
  intermediateSize: 1536,
  attentionHeads: 9,
  keyValueHeads: 3,
  headSize: 64,
  vocabularySize: 49152,
  tiedEmbeddings: true,
  contextLength: 8192,
  fileBytes: 4 * 134_515_008,
  sites: Array.from({ length: 30 }, (_, layer) =>
    Object.entries(widths).map(([site, [inFeatures, outFeatures]]) => ({
      ...linear(layer, site),
      inFeatures,
      outFeatures,
    })),
  ).flat(),
};
export const engine: EngineFacts = {
  name: 'tensorflow',
  ownBytes: 0.4 * GiB,
  precisions: ['f32', 'bf16'],
  fusedAttention: true,
  chunkTokens: () => 256,
  keepsBf16: true,
  logitsCopies: 3,
  unpacked: 0,
  roundedCopies: 0,
  updatesInPlace: false,
  keptOverhead: 1,
  seesOverhead: 1,
  turnsWeights: true,
  makesCheapAgain: true,
  lossLingers: true,
  endToEnd: true,
  flopsPerSecond: 3e11,
  isMeasured: false,
};
export const data: DataFacts = {
  examples: 1000,
  meanTokens: 120,
  deviationTokens: 80,
  p95Tokens: 300,
  maxTokens: 900,
  sampled: 1000,
  clusters: 4,
};
