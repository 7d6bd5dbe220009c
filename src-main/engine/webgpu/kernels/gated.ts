import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Activation } from '../../fused-kernels.ts';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, run, spread, type Kernel } from '../kernel.ts';

const THREADS = 64;

/** activation(g) and its derivative. Exponents are kept small: what comes out is the same, and no infinity goes in. */
const ACTIVATIONS: Record<Activation, string> = {
  silu: `fn activation(g: f32) -> vec2f {
  let s = 1.0 / (1.0 + exp(clamp(-g, -80.0, 80.0)));
  return vec2f(g * s, s * (1.0 + g * (1.0 - s)));
}`,
  // Hendrycks and Gimpel, arXiv 1606.08415: g / 2 (1 + tanh(sqrt(2 / pi) (g + 0.044715 g^3)))
  gelu_tanh: `fn activation(g: f32) -> vec2f {
  let t = tanh(clamp(0.7978845608028654 * (g + 0.044715 * g * g * g), -15.0, 15.0));
  let slope = 0.7978845608028654 * (1.0 + 0.134145 * g * g);
  return vec2f(0.5 * g * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * g * (1.0 - t * t) * slope);
}`,
  // g / 2 (1 + erf(g / sqrt(2))), erf to 1.5e-7 (Abramowitz and Stegun, 7.1.26)
  gelu: `fn activation(g: f32) -> vec2f {
  let bell = exp(-0.5 * min(g * g, 160.0));
  let t = 1.0 / (1.0 + 0.3275911 * 0.7071067811865476 * abs(g));
  let rest = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * bell;
  let share = 0.5 * select(2.0 - rest, rest, g < 0.0);
  return vec2f(g * share, share + g * 0.3989422804014327 * bell);
}`,
  quick_gelu: `fn activation(g: f32) -> vec2f {
  let s = 1.0 / (1.0 + exp(clamp(-1.702 * g, -80.0, 80.0)));
  return vec2f(g * s, s * (1.0 + 1.702 * g * (1.0 - s)));
}`,
};

const forward = (activation: Activation): Kernel => ({
  name: `gated ${activation}`,
  reads: { gate: 'f32', up: 'f32' },
  writes: { y: 'f32' },
  params: { size: 'u32' },
  code: `${ACTIVATIONS[activation]}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let i = flat(group, groups) * ${THREADS}u + thread;
  if (i < p.size) { y[i] = activation(gate[i]).x * up[i]; }
}`,
});

const backward = (activation: Activation): Kernel => ({
  name: `gatedGrad ${activation}`,
  reads: { dy: 'f32', gate: 'f32', up: 'f32' },
  writes: { dGate: 'f32', dUp: 'f32' },
  params: { size: 'u32' },
  code: `${ACTIVATIONS[activation]}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let i = flat(group, groups) * ${THREADS}u + thread;
  if (i >= p.size) { return; }
  let a = activation(gate[i]);
  dGate[i] = dy[i] * up[i] * a.y;
  dUp[i] = dy[i] * a.x;
}`,
});

/** SwiGLU (Shazeer, arXiv 2002.05202) and its like: activation(gate) * up. A thread a number. */
export function gated(backend: Backend, gate: Tensor2D, up: Tensor2D, activation: Activation): Tensor2D {
  const y = empty<Tensor2D>(backend, gate.shape);
  run(backend, forward(activation), [gate, up], [y], [gate.size], spread(Math.ceil(gate.size / THREADS)));
  return y;
}

/** The gradients to gate and up of `gated`. */
export function gatedGrad(
  backend: Backend,
  dy: Tensor2D,
  gate: Tensor2D,
  up: Tensor2D,
  activation: Activation,
): [Tensor2D, Tensor2D] {
  const grads: [Tensor2D, Tensor2D] = [empty(backend, gate.shape), empty(backend, gate.shape)];
  run(backend, backward(activation), [dy, gate, up], grads, [gate.size], spread(Math.ceil(gate.size / THREADS)));
  return grads;
}
