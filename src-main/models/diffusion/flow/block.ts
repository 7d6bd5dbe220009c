import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fullAttention } from '../../../engine/full-attention.ts';
import { gated, rmsNorm, rotary } from '../../../engine/fused.ts';
import { linear, type LinearPass } from '../parts/linear.ts';
import type { FlowTransformerConfig } from './config.ts';
import { maskedAttention } from './masked-attention.ts';
import type { FlowBlockWeights } from './weights.ts';

/** What a block is told beside its rows. A type, as a record of tensors is what it is taken for. */
export type FlowTold = {
  /** angles of each row, [pictures * tokens, half a head] */
  cos: Tensor2D;
  sin: Tensor2D;
  /** of each row 1, or 0 where none sees it, [pictures * tokens, 1]; undefined: every token sees all of its picture's */
  shown?: Tensor2D;
  /** the time's features, [pictures, features] */
  time: Tensor2D;
};

/** The norms of queries and keys have their own, whatever the configuration says. */
const HEAD_EPSILON = 1e-5;

/**
 * x + gate norm(attention(norm(x) scale)), then x + gate norm(feed-forward(norm(x) scale)); scales and gates follow from the time, and are 1
 * in a block over the text. x [pictures * tokens, width]
 */
export function flowBlock(
  x: Tensor2D,
  weights: FlowBlockWeights,
  config: FlowTransformerConfig,
  pictures: number,
  told: FlowTold,
  pass: LinearPass,
): Tensor2D {
  const { norms, modulation } = weights;
  const { epsilon } = config;
  return tf.tidy(() => {
    const [scale, gate, innerScale, innerGate] = modulation ? modulated(linear(told.time, modulation)) : [];
    const attended = attention(
      by(rmsNorm(x, norms.before, epsilon), scale),
      weights,
      config.heads,
      pictures,
      told,
      pass,
    );
    const middle = tf.add<Tensor2D>(x, by(rmsNorm(attended, norms.behind, epsilon), gate));
    const first = by(rmsNorm(middle, norms.beforeInner, epsilon), innerScale);
    const inner = gated(linear(first, weights.gate, pass), linear(first, weights.up, pass), 'silu');
    return tf.add<Tensor2D>(middle, by(rmsNorm(linear(inner, weights.down, pass), norms.behindInner, epsilon), innerGate)); // prettier-ignore
  });
}

/** Scale and gate of attention and of feed-forward, each [pictures, 1, width]. */
function modulated(features: Tensor2D): Tensor[] {
  const parts = tf.split(tf.expandDims(features, 1), 4, 2);
  return parts.map((part, i) => (i % 2 === 0 ? tf.add(part, 1) : tf.tanh(part)));
}

/** Rows times what their picture has for each feature, [pictures, 1, width]. */
export function by(x: Tensor2D, factors: Tensor | undefined): Tensor2D {
  if (!factors) return x;
  return tf.reshape(tf.mul(tf.reshape(x, [factors.shape[0]!, -1, x.shape[1]]), factors), x.shape);
}

function attention(
  x: Tensor2D,
  weights: FlowBlockWeights,
  heads: number,
  pictures: number,
  { cos, sin, shown }: FlowTold,
  pass: LinearPass,
): Tensor2D {
  const turned = (y: Tensor2D, norm: Tensor1D | undefined) => rotary(apart(y, heads, norm), cos, sin, heads);
  const q = turned(linear(x, weights.query, pass), weights.queryNorm);
  const k = turned(linear(x, weights.key, pass), weights.keyNorm);
  const v = linear(x, weights.value, pass);
  const seen = shown ? maskedAttention(q, k, v, shown, pictures, heads) : fullAttention(q, k, v, pictures, heads);
  return linear(seen, weights.out, pass);
}

/** Each head normed, and its features, which turn in pairs of neighbours, laid as `rotary` takes pairs: all first ones, then all second ones. */
function apart(x: Tensor2D, heads: number, norm: Tensor1D | undefined): Tensor2D {
  const [tokens, width] = x.shape;
  const size = width / heads;
  const rows = tf.reshape(x, [tokens * heads, size]) as Tensor2D;
  const normed = norm ? rmsNorm(rows, norm, HEAD_EPSILON) : rows;
  return tf.reshape(tf.transpose(tf.reshape(normed, [tokens * heads, size / 2, 2]), [0, 2, 1]), [tokens, width]);
}
