import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { FrozenMatrix, PackedKernels } from './packed.ts';

/** Which keys a query sees: those of its own segment, not after it, and inside the window. */
export interface AttentionOptions {
  /** tokens a row; x has rows * length tokens */
  length: number;
  heads: number;
  keyValueHeads: number;
  scale: number;
  /** tokens; undefined = full attention */
  window?: number;
}

export type Activation = 'silu' | 'gelu_tanh';

/**
 * Parts of a decoder's step that an engine may do in one pass over memory. Every engine that registers one promises the
 * numbers of the compositions below, forward and backward. Tensors are [tokens, features].
 */
export interface FusedKernels {
  rmsNorm(x: Tensor2D, weight: Tensor1D, epsilon: number): Tensor2D;
  rmsNormGrad(dy: Tensor2D, x: Tensor2D, weight: Tensor1D, epsilon: number): Tensor2D;
  rotary(x: Tensor2D, cos: Tensor2D, sin: Tensor2D, heads: number, sign: 1 | -1): Tensor2D;
  gated(gate: Tensor2D, up: Tensor2D, activation: Activation): Tensor2D;
  gatedGrad(dy: Tensor2D, gate: Tensor2D, up: Tensor2D, activation: Activation): [Tensor2D, Tensor2D];
  /** also the logarithm of each query's sum of exponentials, [tokens, heads] */
  attention(q: Tensor2D, k: Tensor2D, v: Tensor2D, segments: Tensor1D, options: AttentionOptions): [Tensor2D, Tensor2D];
  attentionGrad(saved: Tensor[], dOut: Tensor2D, options: AttentionOptions): [Tensor2D, Tensor2D, Tensor2D];
  /** per row -log softmax(logits)[label] (0 where the label is negative), and its gradient */
  crossEntropy(logits: Tensor2D, labels: Tensor1D): [Tensor1D, Tensor2D];
  /** sum of crossEntropy over x W and the gradient to x, where the engine has it in one piece */
  loss?(x: Tensor2D, weight: Tensor2D, transposed: boolean, labels: Tensor1D): [tf.Scalar, Tensor2D];
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

/** y = x / rms(x) * weight (Zhang and Sennrich, arXiv 1910.07467). The weight is frozen: no gradient flows to it. */
export function rmsNorm(x: Tensor2D, weight: Tensor1D, epsilon: number): Tensor2D {
  const kernels = fusedKernels();
  if (!kernels)
    return tf.tidy(() => tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon))), weight));
  return tf.customGrad((input, save) => {
    const x2 = input as Tensor2D;
    (save as tf.GradSaveFunc)([x2, weight]);
    return {
      value: kernels.rmsNorm(x2, weight, epsilon),
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        kernels.rmsNormGrad(dy as Tensor2D, saved[0] as Tensor2D, saved[1] as Tensor1D, epsilon),
    };
  })(x) as Tensor2D;
}

/** Rotates the pairs (i, i + headSize / 2) of every head by the angles whose cos and sin are given, [tokens, headSize / 2]. */
export function rotary(x: Tensor2D, cos: Tensor2D, sin: Tensor2D, heads: number): Tensor2D {
  const kernels = fusedKernels();
  if (!kernels) return rotaryComposed(x, cos, sin, heads);
  return tf.customGrad((...args) => {
    const [input, save] = args as unknown as [Tensor2D, tf.GradSaveFunc];
    save([cos, sin]);
    return {
      value: kernels.rotary(input, cos, sin, heads, 1),
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        kernels.rotary(dy as Tensor2D, saved[0] as Tensor2D, saved[1] as Tensor2D, heads, -1),
    };
  })(x) as Tensor2D;
}

function rotaryComposed(x: Tensor2D, cos: Tensor2D, sin: Tensor2D, heads: number): Tensor2D {
  return tf.tidy(() => {
    const tokens = x.shape[0];
    const half = cos.shape[1];
    const [low, high] = tf.split(tf.reshape(x, [tokens, heads, 2 * half]), 2, -1) as [Tensor, Tensor];
    const c = tf.reshape(cos, [tokens, 1, half]);
    const s = tf.reshape(sin, [tokens, 1, half]);
    const turned = [tf.sub(tf.mul(low, c), tf.mul(high, s)), tf.add(tf.mul(high, c), tf.mul(low, s))];
    return tf.reshape(tf.concat(turned, -1), [tokens, heads * 2 * half]);
  });
}

/** activation(gate) * up */
export function gated(gate: Tensor2D, up: Tensor2D, activation: Activation): Tensor2D {
  const kernels = fusedKernels();
  if (!kernels) return tf.tidy(() => tf.mul(activate(gate, activation), up));
  return tf.customGrad((...args) => {
    const [g, u, save] = args as unknown as [Tensor2D, Tensor2D, tf.GradSaveFunc];
    save([g, u]);
    return {
      value: kernels.gated(g, u, activation),
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        kernels.gatedGrad(dy as Tensor2D, saved[0] as Tensor2D, saved[1] as Tensor2D, activation),
    };
  })(gate, up) as Tensor2D;
}

function activate(x: Tensor2D, activation: Activation): Tensor2D {
  if (activation === 'silu') return tf.mul(x, tf.sigmoid(x));
  const cubic = tf.mul(tf.mul(tf.square(x), x), 0.044715);
  const inner = tf.mul(tf.add(x, cubic), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}

/**
 * softmax(scale * q k^T) v over the keys each query sees. q [tokens, heads * size], k and v [tokens, keyValueHeads * size],
 * segments [tokens] int32: which packed example a token belongs to. The composition holds whole score matrices.
 */
export function attention(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  segments: Tensor1D,
  options: AttentionOptions,
): Tensor2D {
  const kernels = fusedKernels();
  if (!kernels) return attentionComposed(q, k, v, segments, options);
  return tf.customGrad((...args) => {
    const [q2, k2, v2, save] = args as unknown as [Tensor2D, Tensor2D, Tensor2D, tf.GradSaveFunc];
    const [out, logSums] = kernels.attention(q2, k2, v2, segments, options);
    save([q2, k2, v2, segments, out, logSums]);
    return {
      value: out,
      gradFunc: (dy: Tensor, saved: Tensor[]) => kernels.attentionGrad(saved, dy as Tensor2D, options),
    };
  })(q, k, v) as Tensor2D;
}

function attentionComposed(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  segments: Tensor1D,
  { length, heads, keyValueHeads, scale, window }: AttentionOptions,
): Tensor2D {
  return tf.tidy(() => {
    const rows = q.shape[0] / length;
    const size = q.shape[1] / heads;
    const group = heads / keyValueHeads;
    const split = (x: Tensor2D, count: number) =>
      tf.transpose(tf.reshape(x, [rows, length, count, size]), [0, 2, 1, 3]);
    const grouped = tf.reshape(split(q, heads), [rows, keyValueHeads, group * length, size]);
    const scores = tf.mul(tf.matMul(grouped, split(k, keyValueHeads), false, true), scale);
    const mask = tf.mul(tf.sub(1, visibleKeys(segments, rows, length, window)), -1e9);
    const masked = tf.add(tf.reshape(scores, [rows, keyValueHeads, group, length, length]), mask);
    const weights = tf.reshape(tf.softmax(masked), [rows, keyValueHeads, group * length, length]);
    const out = tf.reshape(tf.matMul(weights, split(v, keyValueHeads)), [rows, heads, length, size]);
    return tf.reshape(tf.transpose(out, [0, 2, 1, 3]), [rows * length, heads * size]);
  });
}

/** 1 where a query sees a key, [rows, 1, 1, length, length] */
function visibleKeys(segments: Tensor1D, rows: number, length: number, window?: number): Tensor {
  const index = tf.range(0, length, 1, 'int32');
  const distance = tf.sub(tf.expandDims(index, 1), tf.expandDims(index, 0));
  let seen: Tensor = tf.greaterEqual(distance, 0);
  if (window !== undefined) seen = tf.logicalAnd(seen, tf.less(distance, window));
  const segment = tf.reshape(segments, [rows, length]);
  const together = tf.equal(tf.expandDims(segment, 2), tf.expandDims(segment, 1));
  return tf.cast(tf.reshape(tf.logicalAnd(together, seen), [rows, 1, 1, length, length]), 'float32');
}

/** y + scale * a b: a [tokens, inner], b [inner, out]. `active` [blocks]: rows of b that get a gradient, by equal blocks. */
export function productAdd(y: Tensor2D, a: Tensor2D, b: Tensor2D, scale: number, active?: Tensor1D): Tensor2D {
  const kernels = fusedKernels();
  const flags = active ?? tf.ones<tf.Rank.R1>([1]);
  return tf.customGrad((...args) => {
    const [y2, a2, b2, save] = args as unknown as [Tensor2D, Tensor2D, Tensor2D, tf.GradSaveFunc];
    save([a2, b2, flags]);
    return {
      value: kernels ? kernels.productAdd(y2, a2, b2, scale) : tf.add(y2, tf.mul(tf.matMul(a2, b2), scale)),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [left, right, on] = saved as [Tensor2D, Tensor2D, Tensor1D];
        const upstream = dy as Tensor2D;
        const scaled = tf.mul(left, scale) as Tensor2D;
        const dB = kernels
          ? kernels.blockProduct(scaled, upstream, on)
          : maskRows(tf.matMul(scaled, upstream, true), on);
        return [upstream, tf.mul(tf.matMul(upstream, right, false, true), scale), dB];
      },
    };
  })(y, a, b) as Tensor2D;
}

function maskRows(x: Tensor2D, active: Tensor1D): Tensor2D {
  const [rows, width] = x.shape;
  const blocks = tf.reshape(x, [active.size, rows / active.size, width]);
  return tf.reshape(tf.mul(blocks, tf.reshape(active, [-1, 1, 1])), [rows, width]);
}

/** mixed = (h | logits) [tokens, rank + heads] -> concat_j(softmax(logits)_j * h) [tokens, heads * rank] */
export function mixture(mixed: Tensor2D, rank: number, heads: number): Tensor2D {
  const kernels = fusedKernels();
  if (!kernels) {
    return tf.tidy(() => {
      const [h, logits] = tf.split(mixed, [rank, heads], 1) as [Tensor2D, Tensor2D];
      return tf.reshape(tf.mul(tf.expandDims(tf.softmax(logits), 2), tf.expandDims(h, 1)), [
        mixed.shape[0],
        heads * rank,
      ]);
    });
  }
  return tf.customGrad((...args) => {
    const [input, save] = args as unknown as [Tensor2D, tf.GradSaveFunc];
    const [out, weights] = kernels.mixture(input, rank, heads);
    save([input, weights]);
    return {
      value: out,
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        kernels.mixtureGrad(dy as Tensor2D, saved[0] as Tensor2D, saved[1] as Tensor2D, rank, heads),
    };
  })(mixed) as Tensor2D;
}

/**
 * Sum over the rows of -log softmax(x W)[label], rows with a negative label left out. x [tokens, width]; W [width, vocabulary],
 * or [vocabulary, width] where `transposed` (as packed ones always are); frozen. The gradient to x is made in the forward pass, `chunk` tokens at a time, so
 * that no more than [chunk, vocabulary] logits ever exist.
 */
export function linearCrossEntropy(
  x: Tensor2D,
  weight: FrozenMatrix,
  transposed: boolean,
  labels: Tensor1D,
  chunk = 512,
): tf.Scalar {
  return tf.customGrad((...args) => {
    const [input, save] = args as unknown as [Tensor2D, tf.GradSaveFunc];
    const kernels = fusedKernels();
    if (!(weight instanceof tf.Tensor)) {
      const [loss, dx] = kernels!.packed!.loss(input, weight, labels);
      save([dx]);
      return { value: loss, gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(saved[0]!, dy) };
    }
    if (kernels?.loss) {
      const [loss, dx] = kernels.loss(input, weight, transposed, labels);
      save([dx]);
      return { value: loss, gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(saved[0]!, dy) };
    }
    const tokens = input.shape[0];
    const losses: tf.Scalar[] = [];
    const grads: Tensor2D[] = [];
    for (let start = 0; start < tokens; start += chunk) {
      const count = Math.min(chunk, tokens - start);
      const [loss, dx] = chunkLoss(
        tf.slice(input, [start, 0], [count, -1]),
        weight,
        transposed,
        tf.slice(labels, [start], [count]),
      );
      losses.push(loss);
      grads.push(dx);
    }
    save([grads.length === 1 ? grads[0]! : tf.concat(grads, 0)]);
    return {
      value: losses.length === 1 ? losses[0]! : (tf.addN(losses) as tf.Scalar),
      gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(saved[0]!, dy),
    };
  })(x) as tf.Scalar;
}

function chunkLoss(x: Tensor2D, weight: Tensor2D, transposed: boolean, labels: Tensor1D): [tf.Scalar, Tensor2D] {
  return tf.tidy(() => {
    const kernels = fusedKernels();
    const logits = tf.matMul(x, weight, false, transposed) as Tensor2D;
    const [loss, dLogits] = kernels ? kernels.crossEntropy(logits, labels) : crossEntropyComposed(logits, labels);
    return [tf.sum(loss), tf.matMul(dLogits, weight, false, !transposed)] as [tf.Scalar, Tensor2D];
  }) as unknown as [tf.Scalar, Tensor2D];
}

function crossEntropyComposed(logits: Tensor2D, labels: Tensor1D): [Tensor1D, Tensor2D] {
  const mask = tf.cast(tf.greaterEqual(labels, 0), 'float32');
  const target = tf.oneHot(tf.cast(tf.maximum(labels, 0), 'int32'), logits.shape[1]) as Tensor2D;
  const logProbabilities = tf.logSoftmax(logits);
  const loss = tf.mul(tf.neg(tf.sum(tf.mul(logProbabilities, target), 1)), mask) as Tensor1D;
  const dLogits = tf.mul(tf.sub(tf.exp(logProbabilities), target), tf.expandDims(mask, 1)) as Tensor2D;
  return [loss, dLogits];
}
