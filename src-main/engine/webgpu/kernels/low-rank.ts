import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { LowRankGradients, LowRankInputs, LowRankSaved } from '../../fused-kernels.ts';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, reduction, run, spread, type Kernel } from '../kernel.ts';
import { mixtureGrad, mixtureSoftmax } from './mixture.ts';
import { floats, stacked, weightedHeads } from './operands.ts';
import { product } from './product.ts';

// y + scale * sum_j omega_j B_j (A x), omega = softmax(router x), and its gradients. mixed = (h | logits) = (A x | router x)
// [tokens, rank + heads] and omega are kept; concat_j(omega_j h), heads times as wide as h, is made while it is read.

const THREADS = 64;

/** sum_t weight_t omega_tj: a workgroup a head. */
function shareKernel(backend: Backend): Kernel {
  const sum = reduction(backend, THREADS, 'sum');
  return {
    name: 'lowRankShare',
    reads: { omega: 'f32', weights: 'f32' },
    writes: { share: 'f32' },
    params: { tokens: 'u32', heads: 'u32' },
    enable: sum.enable,
    code: `${sum.code}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}${sum.invocation}) {
  let head = flat(group, groups);
  if (head >= p.heads) { return; }
  var mine = 0.0;
  for (var t = thread; t < p.tokens; t += ${THREADS}u) {
    mine += weights[t] * omega[t * p.heads + head];
  }
  let all = ${sum.call('mine')};
  if (thread == 0u) { share[head] = all; }
}`,
  };
}

/** The adapted output, and what its gradients need. */
export function lowRank(backend: Backend, { x, y, a, router, b, scale }: LowRankInputs): [Tensor2D, LowRankSaved] {
  const [tokens, inner] = x.shape;
  const [rank, heads, columns] = [a.shape[0], router.shape[0], b.shape[1]];
  const mixed = empty<Tensor2D>(backend, [tokens, rank + heads]);
  product(
    backend,
    { left: floats('x', inner), leftAlong: 'inner', right: stacked('a', 'router'), rightAlong: 'inner' },
    [x, a, router],
    [mixed],
    { rows: tokens, columns: rank + heads, inner, split: rank },
  );
  const omega = mixtureSoftmax(backend, mixed, rank, heads);
  const out = empty<Tensor2D>(backend, y.shape);
  product(
    backend,
    {
      left: weightedHeads('mixed', 'omega'),
      leftAlong: 'inner',
      right: floats('b', columns),
      rightAlong: 'outer',
      addend: 'other',
    },
    [mixed, omega, b, y],
    [out],
    { rows: tokens, columns, inner: heads * rank, scale, rank, heads },
  );
  return [out, [mixed, omega]];
}

/** The gradients of `lowRank` (to y it is dy itself). */
export function lowRankGrad(
  backend: Backend,
  dy: Tensor2D,
  inputs: Omit<LowRankInputs, 'y'>,
  saved: LowRankSaved,
  active: Tensor1D,
  shareWeight: Tensor2D | undefined,
): LowRankGradients {
  const { x, a, router, b, scale } = inputs;
  const [tokens, inner] = x.shape;
  const [rank, heads, columns] = [a.shape[0], router.shape[0], b.shape[1]];
  const dMixed = gradientToMixed(backend, dy, inputs, saved);
  const [mixed, omega] = saved;
  const dx = empty<Tensor2D>(backend, x.shape);
  product(
    backend,
    { left: floats('dMixed', rank + heads), leftAlong: 'inner', right: stacked('a', 'router'), rightAlong: 'outer' },
    [dMixed, a, router],
    [dx],
    { rows: tokens, columns: inner, inner: rank + heads, split: rank },
  );
  const [dA, dRouter] = [empty<Tensor2D>(backend, a.shape), empty<Tensor2D>(backend, router.shape)];
  product(
    backend,
    {
      left: floats('dMixed', rank + heads),
      leftAlong: 'outer',
      right: floats('x', inner),
      rightAlong: 'outer',
      splitRows: true,
    },
    [dMixed, x],
    [dA, dRouter],
    { rows: rank + heads, columns: inner, inner: tokens, split: rank },
  );
  dMixed.dispose();
  const dB = empty<Tensor2D>(backend, b.shape);
  product(
    backend,
    {
      left: weightedHeads('mixed', 'omega'),
      leftAlong: 'outer',
      right: floats('dy', columns),
      rightAlong: 'outer',
      flagged: true,
    },
    [mixed, omega, dy, active],
    [dB],
    { rows: heads * rank, columns, inner: tokens, scale, rank, heads },
  );
  const share = shareWeight && empty<Tensor2D>(backend, [1, heads]);
  if (share) run(backend, shareKernel(backend), [omega, shareWeight], [share], [tokens, heads], spread(heads));
  return { dx, dA, dRouter, dB, share };
}

function gradientToMixed(
  backend: Backend,
  dy: Tensor2D,
  { a, router, b, scale }: Pick<LowRankInputs, 'a' | 'router' | 'b' | 'scale'>,
  [mixed, omega]: LowRankSaved,
): Tensor2D {
  const [tokens, columns] = dy.shape;
  const [rank, heads] = [a.shape[0], router.shape[0]];
  const g = empty<Tensor2D>(backend, [tokens, heads * rank]);
  product(
    backend,
    { left: floats('dy', columns), leftAlong: 'inner', right: floats('b', columns), rightAlong: 'inner' },
    [dy, b],
    [g],
    { rows: tokens, columns: heads * rank, inner: columns, scale },
  );
  const dMixed = mixtureGrad(backend, g, mixed, omega, rank, heads);
  g.dispose();
  return dMixed;
}
