import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, reduction, run, spread, type Kernel } from '../kernel.ts';

/** Threads a row. */
const THREADS = 64;

/**
 * RMSNorm (Zhang and Sennrich, arXiv 1910.07467), r = 1 / sqrt(mean(x^2) + epsilon): y = x r w, and back
 * dx = r (dy w) - x r^3 / n sum(dy w x). A workgroup a row.
 */
function kernel(backend: Backend, isGradient: boolean): Kernel {
  const sum = reduction(backend, THREADS, 'sum');
  return {
    name: isGradient ? 'rmsNormGrad' : 'rmsNorm',
    reads: { ...(isGradient ? { dy: 'f32' } : {}), x: 'f32', weight: 'f32' },
    writes: { out: 'f32' },
    params: { rows: 'u32', width: 'u32', epsilon: 'f32' },
    enable: sum.enable,
    code: `${sum.code}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}${sum.invocation}) {
  let row = flat(group, groups);
  if (row >= p.rows) { return; }
  let start = row * p.width;
  var squares = 0.0;
  var along = 0.0;
  for (var i = thread; i < p.width; i += ${THREADS}u) {
    squares += x[start + i] * x[start + i];
    ${isGradient ? 'along += dy[start + i] * weight[i] * x[start + i];' : ''}
  }
  let r = inverseSqrt(${sum.call('squares')} / f32(p.width) + p.epsilon);
  ${isGradient ? `let pull = ${sum.call('along')} * r * r * r / f32(p.width);` : ''}
  for (var i = thread; i < p.width; i += ${THREADS}u) {
    out[start + i] = ${isGradient ? 'dy[start + i] * weight[i] * r - x[start + i] * pull' : 'x[start + i] * r * weight[i]'};
  }
}`,
  };
}

/** x [rows, width], weight [width] -> [rows, width] */
export function rmsNorm(backend: Backend, x: Tensor2D, weight: Tensor1D, epsilon: number): Tensor2D {
  const y = empty<Tensor2D>(backend, x.shape);
  run(backend, kernel(backend, false), [x, weight], [y], [...x.shape, epsilon], spread(x.shape[0]));
  return y;
}

/** The gradient to x of `rmsNorm`. */
export function rmsNormGrad(backend: Backend, dy: Tensor2D, x: Tensor2D, weight: Tensor1D, epsilon: number): Tensor2D {
  const dx = empty<Tensor2D>(backend, x.shape);
  run(backend, kernel(backend, true), [dy, x, weight], [dx], [...x.shape, epsilon], spread(x.shape[0]));
  return dx;
}
