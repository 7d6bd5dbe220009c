import * as tf from '@tensorflow/tfjs-core';
import { clipped, registerFusedKernels, type FusedKernels } from '../fused-kernels.ts';
import type { Backend } from './backend.ts';
import { adamw } from './kernels/adamw.ts';
import { attention } from './kernels/attention.ts';
import { attentionGrad } from './kernels/attention-grad.ts';
import { blockProduct, productAdd } from './kernels/adapter-products.ts';
import { loss } from './kernels/cross-entropy.ts';
import { gated, gatedGrad } from './kernels/gated.ts';
import { lowRank, lowRankGrad } from './kernels/low-rank.ts';
import { mixture, mixtureGrad } from './kernels/mixture.ts';
import { rmsNorm, rmsNormGrad } from './kernels/norm.ts';
import { rotary } from './kernels/rotary.ts';
import { openWholeAdamW } from './kernels/whole-adamw.ts';
import { packedWebgpuKernels } from './packed.ts';

/** Our WGSL kernels as the engine's fused kernels. */
export function registerWebgpuKernels(backend: Backend): void {
  registerFusedKernels('webgpu', webgpuKernels(backend));
}

function webgpuKernels(backend: Backend): FusedKernels {
  return {
    rmsNorm: (x, weight, epsilon) => rmsNorm(backend, x, weight, epsilon),
    rmsNormGrad: (dy, x, weight, epsilon) => rmsNormGrad(backend, dy, x, weight, epsilon),
    rotary: (x, cos, sin, heads, sign) => rotary(backend, x, cos, sin, heads, sign),
    gated: (gate, up, activation) => gated(backend, gate, up, activation),
    gatedGrad: (dy, gate, up, activation) => gatedGrad(backend, dy, gate, up, activation),
    attention: (q, k, v, segments, options) => attention(backend, [q, k, v], segments, options),
    attentionGrad: (saved, dOut, options) => attentionGrad(backend, saved, dOut, options),
    loss: (x, weight, transposed, labels) => {
      const [rows, columns] = transposed ? weight.shape : [weight.shape[1], weight.shape[0]];
      const tensor = transposed ? weight : tf.transpose(weight);
      return loss(backend, x, { format: 'f32', rows, columns, parts: [{ tensor, start: 0, rows }] }, labels);
    },
    packed: packedWebgpuKernels(backend),
    productAdd: (y, a, b, scale) => productAdd(backend, y, a, b, scale),
    lowRank: (inputs) => lowRank(backend, inputs),
    lowRankGrad: (dy, inputs, saved, active, share) => lowRankGrad(backend, dy, inputs, saved, active, share),
    mixture: (mixed, rank, heads) => mixture(backend, mixed, rank, heads),
    mixtureGrad: (dOut, mixed, omega, rank, heads) => mixtureGrad(backend, dOut, mixed, omega, rank, heads),
    blockProduct: (a, b, active) => blockProduct(backend, a, b, active),
    adamw: (state, g, rows, norm, options) =>
      adamw(backend, [...state, clipped(g as tf.Tensor2D, norm, options.clipNorm)], rows, options),
    ...(backend.opened.has('shader-f16') ? { inHalfPrecision: (f) => inHalfPrecision(backend, f) } : {}),
    openOptimizer: (tensors, options) => openWholeAdamW(backend, tensors, options),
  };
}

function inHalfPrecision<T>(backend: Backend, f: () => T): T {
  backend.half = true;
  try {
    return f();
  } finally {
    backend.half = false;
  }
}
