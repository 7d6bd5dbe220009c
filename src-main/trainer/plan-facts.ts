import { availableParallelism } from 'node:os';
import { lengthFacts, mostTokens } from '../effilora/length-facts.ts';
import type { EngineFacts, ModelFacts, RunShape } from '../effilora/memory-plan.ts';
import type { AdapterOptions } from '../effilora/types.ts';
import type { EngineStatus } from '../engine/types.ts';
import type { ModelFile } from '../models/types.ts';
import { modelSites } from '../models/weights.ts';
import { measuredSpeed } from './machine-speed.ts';
import type { Recipe } from './recipe.ts';

/** f32 products on one core with wide vectors, about: until a run has measured the machine. */
const FLOPS_A_CORE = 1e11;

/** What the plan needs to know of a base model. */
export function modelFacts({ name, config, tensors }: ModelFile): ModelFacts {
  return {
    ...config,
    name,
    fileBytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0),
    sites: modelSites(config),
  };
}

/**
 * What the plan needs to know of an engine. TensorFlow on a CPU has products with weights in the blocks of their file, and
 * compiles steps from our own operations. What it takes for itself (TensorFlow's libraries, Node, the compiled graph), what
 * allocation adds and how many gradients exist at once are measured: npm run bench:plan.
 */
export function engineFacts(
  engine: Pick<EngineStatus, 'name' | 'kind'>,
  products: 'f32' | 'bf16' = 'f32',
): EngineFacts {
  const packs = engine.name === 'tensorflow' && engine.kind === 'cpu';
  const measured = measuredSpeed(engine, products);
  return {
    name: engine.name,
    ownBytes: packs ? 730e6 : 500e6,
    precisions: packs ? ['file', 'int8', 'int4'] : ['f32'],
    fusedAttention: packs,
    endToEnd: packs,
    chunkTokens: packs ? 384 : 256,
    logitsCopies: packs ? 1 : 3,
    updatesInPlace: packs,
    keptOverhead: packs ? 1.1 : 1,
    gradientCopies: packs ? 2 : 1,
    flopsPerSecond: measured ?? FLOPS_A_CORE * availableParallelism(),
    isMeasured: measured !== undefined,
  };
}

/** A recipe's steps over examples of these lengths, as the plan sees them; recomputation is left to be chosen where it is auto. */
export function runShape(
  { training }: Recipe,
  method: AdapterOptions,
  exampleTokens: number[],
  { endToEnd }: EngineFacts,
): RunShape {
  const { precision: products, weights, sequenceLength, batch, recompute } = training;
  return {
    method,
    precision: weights === 'auto' ? 'file' : weights,
    products,
    sequenceLength,
    tokens: mostTokens(lengthFacts(exampleTokens), endToEnd, sequenceLength, batch),
    recompute: recompute !== 'auto' && recompute,
  };
}
