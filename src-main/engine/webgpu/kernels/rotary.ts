import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, run, spread, type Kernel } from '../kernel.ts';

const THREADS = 64;

/** RoPE (arXiv 2104.09864) on the pairs (i, i + half) of every head; backward turns the other way (sign -1). A thread a pair. */
const KERNEL: Kernel = {
  name: 'rotary',
  reads: { x: 'f32', cosines: 'f32', sines: 'f32' },
  writes: { y: 'f32' },
  params: { pairs: 'u32', heads: 'u32', half: 'u32', sign: 'f32' },
  code: `@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let pair = flat(group, groups) * ${THREADS}u + thread;
  if (pair >= p.pairs) { return; }
  let i = pair % p.half;
  let vector = pair / p.half; // of one head of one token
  let angle = vector / p.heads * p.half + i;
  let c = cosines[angle];
  let s = sines[angle] * p.sign;
  let low = vector * 2u * p.half + i;
  let high = low + p.half;
  y[low] = x[low] * c - x[high] * s;
  y[high] = x[high] * c + x[low] * s;
}`,
};

/** x [tokens, heads * size], cos and sin [tokens, size / 2] -> as x */
export function rotary(
  backend: Backend,
  x: Tensor2D,
  cos: Tensor2D,
  sin: Tensor2D,
  heads: number,
  sign: 1 | -1,
): Tensor2D {
  const y = empty<Tensor2D>(backend, x.shape);
  const pairs = x.size / 2;
  run(backend, KERNEL, [x, cos, sin], [y], [pairs, heads, cos.shape[1], sign], spread(Math.ceil(pairs / THREADS)));
  return y;
}
