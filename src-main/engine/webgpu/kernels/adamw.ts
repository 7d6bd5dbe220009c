import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { AdamWOptions } from '../../fused-kernels.ts';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, run, spread, type Kernel } from '../kernel.ts';

const THREADS = 64;

/**
 * One number's update (Loshchilov and Hutter, arXiv 1711.05101), rows[block] = rate, 1 / bias corrections, decay factor:
 * m += (1 - beta1) (g - m), v += (1 - beta2) (g^2 - v), p = decay p - rate m^ / (sqrt(v^) + epsilon).
 */
export const UPDATE = `
fn updated(block: u32, weight: f32, first: f32, second: f32, g: f32) -> vec3f {
  let rate = rows[4u * block];
  if (rate == 0.0) { return vec3f(weight, first, second); }
  let m1 = first + (g - first) * p.rest1;
  let v1 = second + (g * g - second) * p.rest2;
  let step = m1 * rows[4u * block + 1u] / (sqrt(v1 * rows[4u * block + 2u]) + p.epsilon);
  return vec3f(weight * rows[4u * block + 3u] - rate * step, m1, v1);
}`;

/** The numbers of `UPDATE` that stay: 1 - beta1, 1 - beta2, epsilon. */
export const UPDATE_PARAMS = { rest1: 'f32', rest2: 'f32', epsilon: 'f32' } as const;
export const updateParams = ({ beta1, beta2, epsilon }: AdamWOptions) => [1 - beta1, 1 - beta2, epsilon];

const KERNEL: Kernel = {
  name: 'adamw',
  reads: { weights: 'f32', firsts: 'f32', seconds: 'f32', gradients: 'f32', rows: 'f32' },
  writes: { newWeights: 'f32', newFirsts: 'f32', newSeconds: 'f32' },
  params: { size: 'u32', blockSize: 'u32', ...UPDATE_PARAMS },
  code: `${UPDATE}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let i = flat(group, groups) * ${THREADS}u + thread;
  if (i >= p.size) { return; }
  let after = updated(i / p.blockSize, weights[i], firsts[i], seconds[i], gradients[i]);
  newWeights[i] = after.x;
  newFirsts[i] = after.y;
  newSeconds[i] = after.z;
}`,
};

/** AdamW of one tensor by equal blocks of rows. A thread a number. */
export function adamw(
  backend: Backend,
  [p, m, v, g]: [Tensor, Tensor, Tensor, Tensor],
  rows: Tensor2D,
  options: AdamWOptions,
): [Tensor, Tensor, Tensor] {
  const after = [0, 1, 2].map(() => empty(backend, p.shape)) as [Tensor, Tensor, Tensor];
  const params = [p.size, p.size / rows.shape[0], ...updateParams(options)];
  run(backend, KERNEL, [p, m, v, g, rows], after, params, spread(Math.ceil(p.size / THREADS)));
  return after;
}
