import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { frozenLinear, frozenTransposed } from '../engine/frozen.ts';
import { gated, rmsNorm, rotary } from '../engine/fused.ts';
import type { Adaptation, LayerParameters, ModelConfig, SiteName } from './types.ts';
import type { LayerWeights } from './weights.ts';

/** cos and sin of a layer's RoPE, each [tokens, headSize / 2]. */
export interface RopeTables {
  cos: Tensor2D;
  sin: Tensor2D;
}

/** What a block needs beside x. `attend` is training's attention over whole rows, or generation's over a cache. */
export interface BlockContext {
  config: ModelConfig;
  weights: LayerWeights;
  layer: number;
  rope: RopeTables;
  /** q [tokens, heads * size], k and v [tokens, keyValueHeads * size], already normed and rotated */
  attend(q: Tensor2D, k: Tensor2D, v: Tensor2D): Tensor2D;
  adaptation?: Adaptation;
  /** what the adaptation's linears use in this block */
  parameters: LayerParameters;
}

/** One decoder block, x [tokens, hidden]: x + attention(norm(x)), then x + mlp(norm(x)); gemma3 norms both results, too. */
export function block(x: Tensor2D, context: BlockContext): Tensor2D {
  const { config, weights } = context;
  const epsilon = config.normEpsilon;
  return tf.tidy(() => {
    let attended = selfAttention(rmsNorm(x, weights.inputNorm, epsilon), context);
    if (config.gemmaNorms) attended = rmsNorm(attended, weights.postAttentionNorm, epsilon);
    const middle = tf.add<Tensor2D>(x, attended);
    let out = mlp(rmsNorm(middle, weights.preMlpNorm ?? weights.postAttentionNorm, epsilon), context);
    if (weights.postMlpNorm) out = rmsNorm(out, weights.postMlpNorm, epsilon);
    return tf.add<Tensor2D>(middle, out);
  });
}

function selfAttention(x: Tensor2D, context: BlockContext): Tensor2D {
  const { config, weights, rope } = context;
  const { attentionHeads, keyValueHeads } = config;
  const q = headNorm(linear(x, 'q_proj', context), weights.queryNorm, config);
  const k = headNorm(linear(x, 'k_proj', context), weights.keyNorm, config);
  const v = linear(x, 'v_proj', context);
  const out = context.attend(
    rotary(q, rope.cos, rope.sin, attentionHeads),
    rotary(k, rope.cos, rope.sin, keyValueHeads),
    v,
  );
  return linear(out, 'o_proj', context);
}

function mlp(x: Tensor2D, context: BlockContext): Tensor2D {
  const gate = linear(x, 'gate_proj', context);
  const up = linear(x, 'up_proj', context);
  return linear(gated(gate, up, context.config.activation), 'down_proj', context);
}

/** y = x W^T + bias, and what the adaptation makes of it. */
function linear(x: Tensor2D, site: SiteName, { weights, layer, adaptation, parameters }: BlockContext): Tensor2D {
  const { weight, bias } = weights.linears[site];
  const y = frozenLinear(x, weight, bias);
  if (!adaptation) return y;
  return adaptation.apply({ block: layer, site }, x, y, parameters, () => frozenTransposed(weight), bias);
}

/** RMSNorm of each head's q or k on its own (qwen3, gemma3). */
function headNorm(x: Tensor2D, weight: Tensor1D | undefined, { headSize, normEpsilon }: ModelConfig): Tensor2D {
  if (!weight) return x;
  const heads = tf.reshape(x, [x.size / headSize, headSize]) as Tensor2D;
  return tf.reshape(rmsNorm(heads, weight, normEpsilon), x.shape);
}
