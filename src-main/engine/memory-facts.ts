import { composedChunkTokens } from './chunk-tokens.ts';
import { MOST_UNPACKED } from './product-in-pieces.ts';
import type { EngineStatus } from './types.ts';
import { lossChunkTokens } from './webgpu/kernels/cross-entropy.ts';

/** What an engine can hold, and what of its ways counts in memory. */
export interface MemoryFacts {
  /** what a process with the engine open and nothing loaded takes */
  ownBytes: number;
  /** how it can hold frozen weights: `file` in the blocks in which they lie in their file */
  precisions: ('file' | 'f32' | 'bf16' | 'int8' | 'int4')[];
  /** attention without the score matrix */
  fusedAttention: boolean;
  /** examples lie end to end; else each micro-batch is padded to whole rows */
  endToEnd: boolean;
  /** tokens whose logits exist at a time, of a vocabulary of so many */
  chunkTokens(vocabularySize: number): number;
  /** arrays of their size that exist then: the logits, their softmax, their gradient, or all in one place */
  logitsCopies: number;
  /** whether the optimizer writes into the tensors' own memory */
  updatesInPlace: boolean;
  /** what passes between products in bf16 is kept in bf16 */
  keepsBf16: boolean;
  /** what allocation adds to the activations that are kept, as a factor */
  keptOverhead: number;
  /** norms, gates and weighted heads are made again in backward, whatever else is kept */
  makesCheapAgain: boolean;
  /** what allocation adds to the weights of what sees, as a factor */
  seesOverhead: number;
  /** products in integers keep a copy of each linear's W^T, the head's too, in Q8_0 */
  turnsWeights: boolean;
  /** numbers of a packed matrix that each product unpacks to f32 for itself at a time; 0: it multiplies with the blocks */
  unpacked: number;
  /** arrays of f32 that a product in integers makes of what it multiplies by, MOST_UNPACKED numbers of it at most; 0: it has kernels in integers */
  roundedCopies: number;
  /** what the loss took is not given back before the first block's gradients are there */
  lossLingers: boolean;
}

/** With our own operations and products with weights in the blocks of their file. */
const OWN = {
  precisions: ['file', 'int8', 'int4'] as MemoryFacts['precisions'],
  fusedAttention: true,
  logitsCopies: 1,
  updatesInPlace: true,
  unpacked: 0,
  roundedCopies: 0,
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
  chunkTokens: composedChunkTokens,
  logitsCopies: 3,
  updatesInPlace: false,
  unpacked: 0,
  // Eager code writes nothing into its operands' place: counted by tfjs in a loss, whose copies are the most.
  roundedCopies: 8,
  keepsBf16: false,
  makesCheapAgain: false,
  lossLingers: false,
  keptOverhead: 1,
  seesOverhead: 1,
  turnsWeights: false,
};

/**
 * TensorFlow on a GPU: steps are compiled of its own operations, with weights in the blocks of their file. Beside the plain ones' own bytes
 * it takes CUDA's context and the scores of a part of the queries; none of that was measured on a GPU yet.
 */
const CUDA: MemoryFacts = {
  ...COMPOSED,
  ownBytes: 800e6,
  precisions: ['file'],
  fusedAttention: true,
  unpacked: MOST_UNPACKED,
  // W^T, rounded in its place, and what it was turned from.
  roundedCopies: 2,
};

/** The facts of an engine where it runs. */
export function memoryFacts({ name, kind }: Pick<EngineStatus, 'name' | 'kind'>): MemoryFacts {
  if (name === 'tensorflow') return kind === 'gpu' ? CUDA : COMPILED;
  return name === 'webgpu' ? WEBGPU : COMPOSED;
}
