import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fusedKernels, type Activation } from './fused-kernels.ts';

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

/** A norm's numbers, one a feature. */
export interface LayerNorm {
  weight: Tensor1D;
  bias: Tensor1D;
}

/** (x - mean) / deviation * weight + bias (arXiv 1607.06450). Weight and bias are frozen: no gradient flows to them. */
export function layerNorm(x: Tensor2D, { weight, bias }: LayerNorm, epsilon: number): Tensor2D {
  const { layerNorm: norm, layerNormGrad: gradient } = fusedKernels() ?? {};
  if (!norm || !gradient) return layerNormComposed(x, { weight, bias }, epsilon);
  return tf.customGrad((input, save) => {
    const x2 = input as Tensor2D;
    (save as tf.GradSaveFunc)([x2, weight]);
    return {
      value: norm(x2, weight, bias, epsilon),
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        gradient(dy as Tensor2D, saved[0] as Tensor2D, saved[1] as Tensor1D, epsilon),
    };
  })(x) as Tensor2D;
}

function layerNormComposed(x: Tensor2D, { weight, bias }: LayerNorm, epsilon: number): Tensor2D {
  return tf.tidy(() => {
    const centered = tf.sub(x, tf.mean(x, -1, true));
    const scale = tf.rsqrt(tf.add(tf.mean(tf.square(centered), -1, true), epsilon));
    return tf.add<Tensor2D>(tf.mul(tf.mul(centered, scale), weight), bias);
  });
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
  if (!kernels) return tf.tidy(() => tf.mul(ACTIVATIONS[activation](gate), up));
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

/** activation(x) */
export function activated(x: Tensor2D, activation: Activation): Tensor2D {
  const { activated: forward, activatedGrad: gradient } = fusedKernels() ?? {};
  if (!forward || !gradient) return tf.tidy(() => ACTIVATIONS[activation](x));
  return tf.customGrad((input, save) => {
    const x2 = input as Tensor2D;
    (save as tf.GradSaveFunc)([x2]);
    return {
      value: forward(x2, activation),
      gradFunc: (dy: Tensor, saved: Tensor[]) => gradient(dy as Tensor2D, saved[0] as Tensor2D, activation),
    };
  })(x) as Tensor2D;
}

const ACTIVATIONS: Record<Activation, (x: Tensor2D) => Tensor2D> = {
  silu: (x) => tf.mul(x, tf.sigmoid(x)),
  quick_gelu: (x) => tf.mul(x, tf.sigmoid(tf.mul(x, 1.702))),
  gelu: (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)),
  // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (arXiv 1606.08415), as x sigmoid of twice what tanh is of: fewer passes over memory
  gelu_tanh: (x) => {
    const twice = 2 * Math.sqrt(2 / Math.PI);
    return tf.mul(x, tf.sigmoid(tf.mul(x, tf.add(tf.mul(tf.square(x), 0.044715 * twice), twice))));
  },
};

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
