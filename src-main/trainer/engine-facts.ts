import type { EngineFacts } from '../effilora/memory-plan.ts';
import type { Products } from '../engine/products.ts';
import type { EngineStatus } from '../engine/types.ts';
import { lossChunkTokens } from '../engine/webgpu/kernels/cross-entropy.ts';
import { guessedSpeed, measuredSpeed, type Unit } from './machine-speed.ts';

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
  ownBytes: 615e6,
  endToEnd: true,
  chunkTokens: () => 252,
  keepsBf16: true,
  makesCheapAgain: true,
  lossLingers: true,
  keptOverhead: 1.05,
  seesOverhead: 1.2,
  turnsWeights: true,
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
  seesOverhead: 1,
  turnsWeights: false,
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
  seesOverhead: 1,
  turnsWeights: false,
};

/** What the plan needs to know of an engine. */
export function engineFacts(
  engine: Pick<EngineStatus, 'name' | 'kind'>,
  products: Products = 'f32',
  unit: Unit = 'tokens',
): EngineFacts {
  const compiles = engine.name === 'tensorflow' && engine.kind === 'cpu';
  const measured = measuredSpeed(engine, products, unit);
  return {
    name: engine.name,
    ...(compiles ? COMPILED : engine.name === 'webgpu' ? WEBGPU : COMPOSED),
    flopsPerSecond: measured ?? guessedSpeed(),
    isMeasured: measured !== undefined,
  };
}
