import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, run, spread, type Kernel } from '../kernel.ts';

// mixed = (h | logits) [tokens, rank + heads] -> concat_j(omega_j h) [tokens, heads * rank], omega = softmax(logits).

const THREADS = 64;
const PARAMS = { tokens: 'u32', rank: 'u32', heads: 'u32' } as const;

/** A thread a token. */
const SOFTMAX: Kernel = {
  name: 'mixtureSoftmax',
  reads: { mixed: 'f32' },
  writes: { omega: 'f32' },
  params: PARAMS,
  code: `@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let token = flat(group, groups) * ${THREADS}u + thread;
  if (token >= p.tokens) { return; }
  let logits = token * (p.rank + p.heads) + p.rank;
  let start = token * p.heads;
  var most = mixed[logits];
  for (var j = 1u; j < p.heads; j++) { most = max(most, mixed[logits + j]); }
  var sum = 0.0;
  for (var j = 0u; j < p.heads; j++) {
    let part = exp(mixed[logits + j] - most);
    omega[start + j] = part;
    sum += part;
  }
  for (var j = 0u; j < p.heads; j++) { omega[start + j] /= sum; }
}`,
};

/** A thread a number. */
const WEIGHT: Kernel = {
  name: 'mixtureWeight',
  reads: { mixed: 'f32', omega: 'f32' },
  writes: { out: 'f32' },
  params: PARAMS,
  code: `@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let i = flat(group, groups) * ${THREADS}u + thread;
  let width = p.rank * p.heads;
  if (i >= p.tokens * width) { return; }
  out[i] = omega[i / width * p.heads + i % width / p.rank] * mixed[i / width * (p.rank + p.heads) + i % p.rank];
}`,
};

/**
 * From g = gradient to concat_j(omega_j h): dh = sum_j omega_j g_j, dlogit_j = omega_j (g_j h - sum_i omega_i g_i h).
 * A thread a token.
 */
const GRADIENT: Kernel = {
  name: 'mixtureGrad',
  reads: { g: 'f32', mixed: 'f32', omega: 'f32' },
  writes: { dMixed: 'f32' },
  params: PARAMS,
  code: `@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let token = flat(group, groups) * ${THREADS}u + thread;
  if (token >= p.tokens) { return; }
  let start = token * (p.rank + p.heads);
  let origin = token * p.rank * p.heads;
  let first = token * p.heads;
  for (var k = 0u; k < p.rank; k++) {
    var dh = 0.0;
    for (var j = 0u; j < p.heads; j++) { dh += omega[first + j] * g[origin + j * p.rank + k]; }
    dMixed[start + k] = dh;
  }
  var all = 0.0;
  for (var j = 0u; j < p.heads; j++) {
    var along = 0.0;
    for (var k = 0u; k < p.rank; k++) { along += g[origin + j * p.rank + k] * mixed[start + k]; }
    dMixed[start + p.rank + j] = omega[first + j] * along;
    all += omega[first + j] * along;
  }
  for (var j = 0u; j < p.heads; j++) { dMixed[start + p.rank + j] -= omega[first + j] * all; }
}`,
};

const perToken = (tokens: number) => spread(Math.ceil(tokens / THREADS));

/** omega [tokens, heads] */
export function mixtureSoftmax(backend: Backend, mixed: Tensor2D, rank: number, heads: number): Tensor2D {
  const [tokens] = mixed.shape;
  const omega = empty<Tensor2D>(backend, [tokens, heads]);
  run(backend, SOFTMAX, [mixed], [omega], [tokens, rank, heads], perToken(tokens));
  return omega;
}

/** The weighted heads, and omega. */
export function mixture(backend: Backend, mixed: Tensor2D, rank: number, heads: number): [Tensor2D, Tensor2D] {
  const omega = mixtureSoftmax(backend, mixed, rank, heads);
  const [tokens] = mixed.shape;
  const out = empty<Tensor2D>(backend, [tokens, heads * rank]);
  run(backend, WEIGHT, [mixed, omega], [out], [tokens, rank, heads], perToken(out.size));
  return [out, omega];
}

/** The gradient to `mixed`. */
export function mixtureGrad(
  backend: Backend,
  g: Tensor2D,
  mixed: Tensor2D,
  omega: Tensor2D,
  rank: number,
  heads: number,
): Tensor2D {
  const [tokens] = mixed.shape;
  const dMixed = empty<Tensor2D>(backend, mixed.shape);
  run(backend, GRADIENT, [g, mixed, omega], [dMixed], [tokens, rank, heads], perToken(tokens));
  return dMixed;
}
