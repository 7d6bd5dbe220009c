import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, reduction, run, spread, type Kernel } from '../kernel.ts';

const THREADS = 64;

/**
 * A row's largest magnitude becomes 8 to 16: far from f16's 65,504, so that a tile's products with weights up to 100 add up in f16, and
 * far above its smallest, however small gradients are.
 */
const EXPONENT = 4;

/** WGSL of `fn scaleOf(most: f32) -> vec2f`, powers of two: what a row whose largest magnitude is `most` is to be multiplied by, and what takes that back. */
export const SCALE_OF = `fn scaleOf(most: f32) -> vec2f {
  let exponent = clamp(${EXPONENT} - frexp(most).exp, -100, 100);
  return vec2f(ldexp(1.0, exponent), ldexp(1.0, -exponent));
}`;

/** The scales of every row. A workgroup a row. */
function kernel(backend: Backend): Kernel {
  const max = reduction(backend, THREADS, 'max');
  return {
    name: 'rowScales',
    reads: { x: 'f32' },
    writes: { scales: 'vec2f' },
    params: { rows: 'u32', width: 'u32' },
    enable: max.enable,
    code: `${max.code}
${SCALE_OF}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}${max.invocation}) {
  let row = flat(group, groups);
  if (row >= p.rows) { return; }
  var mine = 0.0;
  for (var i = thread; i < p.width; i += ${THREADS}u) { mine = max(mine, abs(x[row * p.width + i])); }
  let most = ${max.call('mine')};
  if (thread == 0u) { scales[row] = scaleOf(most); }
}`,
  };
}

/** The scales [rows, 2] with which a product takes x [rows, width] in f16. */
export function rowScales(backend: Backend, x: Tensor2D): Tensor2D {
  const [rows] = x.shape;
  const scales = empty<Tensor2D>(backend, [rows, 2]);
  run(backend, kernel(backend), [x], [scales], x.shape, spread(rows));
  return scales;
}
