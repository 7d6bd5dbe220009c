import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { PackedKernels } from './packed.ts';

/** Which keys a query sees: those of its own segment, not after it, and inside the window. */
export interface AttentionOptions {
  /** tokens a row (0: all are one row); x has rows * length tokens */
  length: number;
  heads: number;
  keyValueHeads: number;
  scale: number;
  /** tokens; undefined = full attention */
  window?: number;
  /** keys a row, all of which its queries see, before and behind them; segments don't count then. Absent: each row's own tokens */
  keyLength?: number;
}

export interface GroupNormOptions {
  /** channels are normed in so many groups */
  groups: number;
  epsilon: number;
  /** x sigmoid(x) of what comes out, which mostly follows */
  silu?: boolean;
}

export type Activation = 'silu' | 'gelu' | 'gelu_tanh' | 'quick_gelu';

/**
 * Parts of a decoder's step that an engine may do in one pass over memory. Every engine that registers one promises the
 * numbers of the compositions below, forward and backward. Tensors are [tokens, features].
 */
export interface FusedKernels {
  rmsNorm(x: Tensor2D, weight: Tensor1D, epsilon: number): Tensor2D;
  rmsNormGrad(dy: Tensor2D, x: Tensor2D, weight: Tensor1D, epsilon: number): Tensor2D;
  layerNorm?(x: Tensor2D, weight: Tensor1D, bias: Tensor1D, epsilon: number): Tensor2D;
  layerNormGrad?(dy: Tensor2D, x: Tensor2D, weight: Tensor1D, epsilon: number): Tensor2D;
  /** x [pictures, height, width, channels] plus shift [pictures, channels] (one number: none), and its moments, which backward needs */
  groupNorm?(
    x: Tensor4D,
    shift: Tensor,
    weight: Tensor1D,
    bias: Tensor1D,
    options: GroupNormOptions,
  ): [Tensor4D, Tensor];
  /** saved: x, shift, weight, bias, moments; what x and shift get */
  groupNormGrad?(dy: Tensor4D, saved: Tensor[], options: GroupNormOptions): [Tensor4D, Tensor2D];
  rotary(x: Tensor2D, cos: Tensor2D, sin: Tensor2D, heads: number, sign: 1 | -1): Tensor2D;
  gated(gate: Tensor2D, up: Tensor2D, activation: Activation): Tensor2D;
  gatedGrad(dy: Tensor2D, gate: Tensor2D, up: Tensor2D, activation: Activation): [Tensor2D, Tensor2D];
  activated?(x: Tensor2D, activation: Activation): Tensor2D;
  activatedGrad?(dy: Tensor2D, x: Tensor2D, activation: Activation): Tensor2D;
  /** also the logarithm of each query's sum of exponentials, [tokens, heads] */
  attention(q: Tensor2D, k: Tensor2D, v: Tensor2D, segments: Tensor1D, options: AttentionOptions): [Tensor2D, Tensor2D];
  attentionGrad(saved: Tensor[], dOut: Tensor2D, options: AttentionOptions): [Tensor2D, Tensor2D, Tensor2D];
  /** sum over the rows of -log softmax(x W)[label] (0 where the label is negative), and its gradient to x */
  loss(x: Tensor2D, weight: Tensor2D, transposed: boolean, labels: Tensor1D): [tf.Scalar, Tensor2D];
  /** for weights that stay packed, where the engine has that */
  packed?: PackedKernels;
  /** y + scale * a b */
  productAdd(y: Tensor2D, a: Tensor2D, b: Tensor2D, scale: number): Tensor2D;
  /** mixed = (h | logits) [tokens, rank + heads] -> concat_j(softmax(logits)_j h) [tokens, heads * rank], and the softmax */
  mixture(mixed: Tensor2D, rank: number, heads: number): [Tensor2D, Tensor2D];
  mixtureGrad(dOut: Tensor2D, mixed: Tensor2D, weights: Tensor2D, rank: number, heads: number): Tensor2D;
  /** the whole of engine/low-rank.ts in one piece, and what its gradients need */
  lowRank?(inputs: LowRankInputs): [Tensor2D, LowRankSaved];
  lowRankGrad?(
    dy: Tensor2D,
    inputs: Omit<LowRankInputs, 'y'>,
    saved: LowRankSaved,
    active: Tensor1D,
    shareWeight: Tensor2D | undefined,
  ): LowRankGradients;
  /** a^T b [blocks * rank, out] by blocks of rows; a block with active = 0 costs nothing and is 0 */
  blockProduct(a: Tensor2D, b: Tensor2D, active: Tensor1D): Tensor2D;
  /** sum of the squares of g over the blocks that move; rows as in `adamw` */
  squares?(g: Tensor, rows: Tensor2D): tf.Scalar;
  /** [blocks]: mean of |p g| over each block of rows */
  sensitivity?(p: Tensor2D, g: Tensor2D, blocks: number): Tensor1D;
  /**
   * p, m, v, g of one shape; rows [blocks, 4] = rate (0: nothing moves), 1 / bias corrections, decay factor; `norm` of all
   * gradients, for clipping. A compiled step may do it in the place of p, m and v: what else reads them must come before `norm`.
   */
  adamw(
    state: [Tensor, Tensor, Tensor],
    g: Tensor,
    rows: Tensor2D,
    norm: tf.Scalar,
    options: AdamWOptions,
  ): [Tensor, Tensor, Tensor];
  /** does f with products with frozen weights in half precision, where the device has that */
  inHalfPrecision?<T>(f: () => T): T;
  /** AdamW over all tensors at once and in place; undefined where they are too large for that */
  openOptimizer?(tensors: OptimizerTensor[], options: AdamWOptions): WholeOptimizer | undefined;
}

export interface OptimizerTensor {
  p: tf.Variable;
  m: tf.Variable;
  v: tf.Variable;
  /** equal blocks of rows, with a row of numbers each */
  blocks: number;
}

export interface WholeOptimizer {
  /**
   * Clips by the global norm of what moves and updates. `gradients` in the tensors' order, `rows` [all blocks, 4] as for `adamw`.
   * @returns the norm before clipping, and of every block mean |p g| before the update
   */
  step(gradients: Tensor2D[], rows: Tensor2D): { gradNorm: tf.Scalar; sensitivities: Tensor1D };
  /** Gives the variables `p` memory of their own again. */
  dispose(): void;
}

/** y + scale * sum_j softmax(router x)_j B_j (A x): a [rank, in], router [heads, in], b [heads * rank, out] */
export interface LowRankInputs {
  x: Tensor2D;
  y: Tensor2D;
  a: Tensor2D;
  router: Tensor2D;
  b: Tensor2D;
  scale: number;
}

/** (A x | router x) [tokens, rank + heads] and omega [tokens, heads] */
export type LowRankSaved = [Tensor2D, Tensor2D];

export interface LowRankGradients {
  dx: Tensor2D;
  dA: Tensor2D;
  dRouter: Tensor2D;
  dB: Tensor2D;
  /** sum_t shareWeight_t softmax_tj, [1, heads] */
  share?: Tensor2D;
}

export interface AdamWOptions {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** largest global norm of the gradients; 0 = any */
  clipNorm: number;
}

/** torch.nn.utils.clip_grad_norm_: g times min(1, clipNorm / (norm + 1e-6)); clipNorm 0: g itself */
export function clipped(g: Tensor2D, norm: tf.Scalar, clipNorm: number): Tensor2D {
  return clipNorm > 0 ? tf.mul(g, tf.minimum(1, tf.div(clipNorm, tf.add(norm, 1e-6)))) : g;
}

const registry = new Map<string, FusedKernels>();

/** An engine's own kernels under its tfjs backend's name; undefined takes them away again (tests compare both ways). */
export function registerFusedKernels(backendName: string, kernels: FusedKernels | undefined): void {
  if (kernels) registry.set(backendName, kernels);
  else registry.delete(backendName);
}

/** The kernels of the engine in use, where it has some. */
export function fusedKernels(): FusedKernels | undefined {
  return registry.get(tf.getBackend());
}

/** Whether a graph of the engine in use can take any number of tokens: only its own kernels do. */
export const takesAnyLength = (): boolean => fusedKernels() !== undefined;

/** Whether the engine in use can do eager products in half precision. */
export const hasHalfPrecision = (): boolean => fusedKernels()?.inHalfPrecision !== undefined;

/** Does f with products with frozen weights in half precision, where the engine in use has that, else in f32. */
export function inHalfPrecision<T>(f: () => T): T {
  const kernels = fusedKernels();
  return kernels?.inHalfPrecision ? kernels.inHalfPrecision(f) : f();
}
