import { evaluationTokens, lengthFacts, mostTokens } from '../effilora/length-facts.ts';
import type { EngineFacts, ModelFacts, RunShape } from '../effilora/memory-plan.ts';
import type { AdapterOptions } from '../effilora/types.ts';
import type { EngineStatus } from '../engine/types.ts';
import { lossChunkTokens } from '../engine/webgpu/kernels/cross-entropy.ts';
import type { ModelFile } from '../models/types.ts';
import { modelSites } from '../models/weights.ts';
import { guessedSpeed, measuredSpeed } from './machine-speed.ts';
import type { Recipe } from '../recipe/recipe.ts';

/** What the plan needs to know of a base model. */
export function modelFacts({ name, config, tensors }: Pick<ModelFile, 'name' | 'config' | 'tensors'>): ModelFacts {
  return {
    ...config,
    name,
    fileBytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0),
    sites: modelSites(config),
  };
}

type MemoryFacts = Omit<EngineFacts, 'name' | 'flopsPerSecond' | 'isMeasured'>;

/** With our own operations and products with weights in the blocks of their file. */
const OWN = {
  precisions: ['file', 'int8', 'int4'] as EngineFacts['precisions'],
  fusedAttention: true,
  logitsCopies: 1,
  updatesInPlace: true,
};

/**
 * TensorFlow on a CPU, which compiles steps. What it takes for itself (TensorFlow's libraries, Node, the compiled graph) and what
 * allocation adds are measured: npm run bench:plan. The graphs of evaluations and answers, some 70 MB for 30 blocks, are about what a
 * run gives back when it has evaluated and those bare steps keep: a whole run is held to the plan in test/trainer/plan.test.ts.
 */
const COMPILED: MemoryFacts = {
  ...OWN,
  ownBytes: 710e6,
  endToEnd: true,
  chunkTokens: () => 384,
  keepsBf16: true,
  makesCheapAgain: true,
  lossLingers: true,
  keptOverhead: 1.05,
};

/** What WebGPU takes of its device, counted: test/trainer/webgpu-plan.test.ts. */
const WEBGPU: MemoryFacts = {
  ...OWN,
  ownBytes: 0,
  endToEnd: false,
  chunkTokens: lossChunkTokens,
  keepsBf16: false,
  makesCheapAgain: false,
  lossLingers: false,
  keptOverhead: 1.4,
};

const COMPOSED: MemoryFacts = {
  ownBytes: 500e6,
  precisions: ['f32'],
  fusedAttention: false,
  endToEnd: false,
  chunkTokens: () => 256,
  logitsCopies: 3,
  updatesInPlace: false,
  keepsBf16: false,
  makesCheapAgain: false,
  lossLingers: false,
  keptOverhead: 1,
};

/** What the plan needs to know of an engine. */
export function engineFacts(
  engine: Pick<EngineStatus, 'name' | 'kind'>,
  products: 'f32' | 'bf16' = 'f32',
): EngineFacts {
  const compiles = engine.name === 'tensorflow' && engine.kind === 'cpu';
  const measured = measuredSpeed(engine, products);
  return {
    name: engine.name,
    ...(compiles ? COMPILED : engine.name === 'webgpu' ? WEBGPU : COMPOSED),
    flopsPerSecond: measured ?? guessedSpeed(),
    isMeasured: measured !== undefined,
  };
}

/** A recipe's steps over examples of these lengths, as the plan sees them; recomputation is left to be chosen where it is auto. */
export function runShape(
  { training }: Recipe,
  method: AdapterOptions,
  exampleTokens: ArrayLike<number>,
  { endToEnd }: EngineFacts,
): RunShape {
  const { precision: products, weights, sequenceLength, batch, recompute, evalSplit } = training;
  return {
    method,
    precision: weights === 'auto' ? 'file' : weights,
    products,
    sequenceLength,
    tokens: mostTokens(lengthFacts(exampleTokens), endToEnd, sequenceLength, batch),
    recompute: recompute !== 'auto' && recompute,
    evaluationTokens: evalSplit > 0 ? evaluationTokens(sequenceLength) : 0,
  };
}
