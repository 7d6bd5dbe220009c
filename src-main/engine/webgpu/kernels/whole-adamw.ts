import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import type { AdamWOptions, OptimizerTensor, WholeOptimizer } from '../../fused-kernels.ts';
import type { Backend } from '../backend.ts';
import { copy, empty, INVOCATION, reduction, run, spread, type Kernel } from '../kernel.ts';
import { UPDATE, UPDATE_PARAMS, updateParams } from './adamw.ts';

/** Threads of a workgroup, which goes through one piece. */
const THREADS = 128;
const FINISH_THREADS = 256;
/** Numbers of a piece at most; a piece lies in one block. */
const PIECE = 4096;
/** Tensors start at multiples of this many numbers, where every device can bind them. */
const ALIGN = 64;

/** Sums of g^2 and |weight g| over each piece. */
function measure(backend: Backend): Kernel {
  const sum = reduction(backend, THREADS, 'sum');
  return {
    name: 'wholeAdamwMeasure',
    reads: { weights: 'f32', gradients: 'f32', pieces: 'i32' },
    writes: { sums: 'vec2f' },
    params: { count: 'u32' },
    enable: sum.enable,
    code: `${sum.code}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}${sum.invocation}) {
  let piece = flat(group, groups);
  if (piece >= p.count) { return; }
  let start = u32(pieces[3u * piece]);
  let end = start + u32(pieces[3u * piece + 1u]);
  var squares = 0.0;
  var along = 0.0;
  for (var i = start + thread; i < end; i += ${THREADS}u) {
    squares += gradients[i] * gradients[i];
    along += abs(weights[i] * gradients[i]);
  }
  let both = vec2f(${sum.call('squares')}, ${sum.call('along')});
  if (thread == 0u) { sums[piece] = both; }
}`,
  };
}

/** The norm of what moves, the factor that clips it, and every block's mean |weight g|: report = (norm, means), in one workgroup. */
function finish(backend: Backend): Kernel {
  const sum = reduction(backend, FINISH_THREADS, 'sum');
  return {
    name: 'wholeAdamwFinish',
    reads: { sums: 'vec2f', blocks: 'i32', rows: 'f32' },
    writes: { norm: 'f32', means: 'f32', factor: 'f32' },
    params: { count: 'u32', clipNorm: 'f32' },
    enable: sum.enable,
    code: `${sum.code}
@compute @workgroup_size(${FINISH_THREADS})
fn main(${INVOCATION}${sum.invocation}) {
  var squares = 0.0;
  for (var block = thread; block < p.count; block += ${FINISH_THREADS}u) {
    var both = vec2f(0.0);
    let first = u32(blocks[3u * block]);
    for (var piece = first; piece < first + u32(blocks[3u * block + 1u]); piece++) { both += sums[piece]; }
    means[block] = both.y / f32(blocks[3u * block + 2u]);
    if (rows[4u * block] != 0.0) { squares += both.x; }
  }
  let all = sqrt(${sum.call('squares')});
  if (thread == 0u) {
    norm[0] = all;
    factor[0] = select(1.0, min(1.0, p.clipNorm / (all + 1e-6)), p.clipNorm > 0.0);
  }
}`,
  };
}

const STEP: Kernel = {
  name: 'wholeAdamwStep',
  reads: { gradients: 'f32', pieces: 'i32', rows: 'f32', factor: 'f32' },
  writes: { weights: 'f32', firsts: 'f32', seconds: 'f32' },
  params: { count: 'u32', ...UPDATE_PARAMS },
  code: `${UPDATE}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}) {
  let piece = flat(group, groups);
  if (piece >= p.count) { return; }
  let start = u32(pieces[3u * piece]);
  let end = start + u32(pieces[3u * piece + 1u]);
  for (var i = start + thread; i < end; i += ${THREADS}u) {
    let after = updated(u32(pieces[3u * piece + 2u]), weights[i], firsts[i], seconds[i], gradients[i] * factor[0]);
    weights[i] = after.x;
    firsts[i] = after.y;
    seconds[i] = after.z;
  }
}`,
};

/** Where tensors and their blocks lie in one long buffer. */
function layout(tensors: OptimizerTensor[]) {
  const starts: number[] = [];
  const pieces: number[] = []; // start, numbers, block
  const blocks: number[] = []; // first piece, pieces, numbers
  let end = 0;
  for (const { p, blocks: count } of tensors) {
    starts.push(end);
    const size = p.size / count;
    for (let block = 0; block < count; block++) {
      blocks.push(pieces.length / 3, Math.ceil(size / PIECE), size);
      for (let from = 0; from < size; from += PIECE)
        pieces.push(end + block * size + from, Math.min(PIECE, size - from), blocks.length / 3 - 1);
    }
    end = Math.ceil((end + p.size) / ALIGN) * ALIGN;
  }
  return { starts, pieces, blocks, size: end };
}

/**
 * AdamW over all tensors in one dispatch: weights and moments lie in one long buffer each, into which gradients are copied.
 * Undefined where such a buffer is more than the device binds at once.
 */
export function openWholeAdamW(
  backend: Backend,
  tensors: OptimizerTensor[],
  options: AdamWOptions,
): WholeOptimizer | undefined {
  const { starts, pieces, blocks, size } = layout(tensors);
  if (4 * size > backend.opened.gpu.limits.maxStorageBufferBindingSize) return undefined;
  const kept = <T extends Tensor>(tensor: T): T => tf.keep(tensor);
  const long = () => kept(empty<Tensor1D>(backend, [size]));
  const [weights, firsts, seconds, gradients] = [long(), long(), long(), long()];
  const table = (numbers: number[]) => kept(tf.tensor1d(Int32Array.from(numbers), 'int32'));
  const [pieceTable, blockTable] = [table(pieces), table(blocks)];
  const sums = kept(empty<Tensor1D>(backend, [(2 * pieces.length) / 3]));
  const factor = kept(empty<Tensor1D>(backend, [1]));
  const homes: [Tensor1D, 'p' | 'm' | 'v'][] = [
    [weights, 'p'],
    [firsts, 'm'],
    [seconds, 'v'],
  ];
  const [pieceCount, blockCount] = [pieces.length / 3, blocks.length / 3];

  return {
    step(given, rows) {
      for (const [home, of] of homes) tensors.forEach((tensor, k) => moveIn(backend, home, starts[k]!, tensor[of]));
      given.forEach((gradient, k) => copy(backend, gradient, gradients, starts[k]));
      const gradNorm = empty<Scalar>(backend, []);
      const sensitivities = empty<Tensor1D>(backend, [blockCount]);
      run(backend, measure(backend), [weights, gradients, pieceTable], [sums], [pieceCount], spread(pieceCount));
      const finishParams = [blockCount, options.clipNorm];
      run(backend, finish(backend), [sums, blockTable, rows], [gradNorm, sensitivities, factor], finishParams, [1]);
      const writes = [weights, firsts, seconds];
      const params = [pieceCount, ...updateParams(options)];
      run(backend, STEP, [gradients, pieceTable, rows, factor], writes, params, spread(pieceCount));
      return { gradNorm, sensitivities };
    },
    dispose() {
      for (const { p } of tensors) if (!p.isDisposed) moveOut(backend, p);
      tf.dispose([weights, firsts, seconds, gradients, pieceTable, blockTable, sums, factor]);
    },
  };
}

/** Makes a variable a part of a long buffer, where it isn't one already. */
function moveIn(backend: Backend, home: Tensor, start: number, variable: tf.Variable): void {
  const data = backend.tensorMap.get(variable.dataId);
  const target = backend.tensorMap.get(home.dataId).resource;
  if (target && data.resource === target) return;
  copy(backend, variable, home, start);
  const resource = backend.tensorMap.get(home.dataId).resource!;
  backend.pool.releaseBuffer(data.resource!);
  Object.assign(data, { resource, offset: 4 * start, external: true });
}

/** Gives a variable a buffer of its own again. */
function moveOut(backend: Backend, variable: tf.Variable): void {
  const data = backend.tensorMap.get(variable.dataId);
  if (!data.external) return;
  const own = empty(backend, variable.shape);
  copy(backend, variable, own);
  variable.assign(own);
  own.dispose();
}
