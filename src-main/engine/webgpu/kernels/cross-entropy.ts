import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Backend } from '../backend.ts';
import { empty, INVOCATION, reduction, run, spread, view, type Kernel } from '../kernel.ts';
import { frozenProduct, frozenProductGrad, type FrozenMatrix } from './frozen.ts';

const THREADS = 128;
/** Logits that exist at a time, bytes. */
const LOGITS_BYTES = 32 * 2 ** 20;
/** Rows are taken in multiples of this, so that every chunk starts where a device can bind it. */
const ROWS = 64;

/** loss = -log softmax(logits)[label], and its gradient over the logits themselves; zeros for a negative label. A workgroup a row. */
function kernel(backend: Backend): Kernel {
  const sum = reduction(backend, THREADS, 'sum');
  const max = reduction(backend, THREADS, 'max');
  return {
    name: 'crossEntropy',
    reads: { labels: 'i32' },
    writes: { logits: 'f32', losses: 'f32' },
    params: { rows: 'u32', vocabulary: 'u32' },
    enable: sum.enable,
    code: `${sum.code}
${max.code}
@compute @workgroup_size(${THREADS})
fn main(${INVOCATION}${sum.invocation}) {
  let row = flat(group, groups);
  if (row >= p.rows) { return; }
  let start = row * p.vocabulary;
  let label = labels[row];
  var mine = -3.0e38;
  for (var i = thread; i < p.vocabulary; i += ${THREADS}u) { mine = max(mine, logits[start + i]); }
  let most = ${max.call('mine')};
  var total = 0.0;
  for (var i = thread; i < p.vocabulary; i += ${THREADS}u) { total += exp(logits[start + i] - most); }
  let all = ${sum.call('total')};
  let counts = select(0.0, 1.0, label >= 0);
  if (thread == 0u) { losses[row] = counts * (most + log(all) - logits[start + u32(max(label, 0))]); }
  storageBarrier();
  workgroupBarrier();
  for (var i = thread; i < p.vocabulary; i += ${THREADS}u) {
    let hit = select(0.0, 1.0, i32(i) == label);
    logits[start + i] = counts * (exp(logits[start + i] - most) / all - hit);
  }
}`,
  };
}

/** Per row the loss, and its gradient in the place of the logits [rows, vocabulary]. */
function crossEntropyInPlace(backend: Backend, logits: Tensor2D, labels: Tensor1D, losses: Tensor1D): void {
  run(backend, kernel(backend), [labels], [logits, losses], logits.shape, spread(logits.shape[0]));
}

/** Tokens whose logits exist at a time. */
export const lossChunkTokens = (vocabulary: number): number =>
  Math.max(1, Math.floor(LOGITS_BYTES / (4 * vocabulary * ROWS))) * ROWS;

/** What multiplies with the head, forward and back. */
export interface HeadProducts {
  product: typeof frozenProduct;
  productGrad: typeof frozenProductGrad;
}
const PLAIN: HeadProducts = { product: frozenProduct, productGrad: frozenProductGrad };

/** Goes through x W^T by chunks of rows, of which no more than LOGITS_BYTES ever exist. x [rows, width]; returns each row's loss. */
function byChunks(
  backend: Backend,
  x: Tensor2D,
  weight: FrozenMatrix,
  labels: Tensor1D,
  product: HeadProducts['product'],
  withGradient?: (gradient: Tensor2D, start: number, count: number) => void,
): Tensor1D {
  const [rows, width] = x.shape;
  const most = lossChunkTokens(weight.rows);
  const losses = empty<Tensor1D>(backend, [rows]);
  for (let start = 0; start < rows; start += most) {
    const count = Math.min(most, rows - start);
    tf.tidy(() => {
      const logits = empty<Tensor2D>(backend, [count, weight.rows]);
      product(backend, view(backend, x, start * width, [count, width]), weight, logits);
      const chunk = (tensor: Tensor1D) => view<Tensor1D>(backend, tensor, start, [count]);
      crossEntropyInPlace(backend, logits, chunk(labels), chunk(losses));
      withGradient?.(logits, start, count);
    });
  }
  return losses;
}

/** The sum over rows of -log softmax(x W^T)[label], and its gradient to x. */
export function loss(
  backend: Backend,
  x: Tensor2D,
  weight: FrozenMatrix,
  labels: Tensor1D,
  { product, productGrad } = PLAIN,
): [Scalar, Tensor2D] {
  const width = x.shape[1];
  const dx = empty<Tensor2D>(backend, x.shape);
  const losses = byChunks(backend, x, weight, labels, product, (gradient, start, count) =>
    productGrad(backend, gradient, weight, view(backend, dx, start * width, [count, width])),
  );
  return [tf.sum<Scalar>(losses), dx];
}

/** log softmax(x W^T)[label] of every row; 0 where the label is negative. */
export function logProbabilities(backend: Backend, x: Tensor2D, weight: FrozenMatrix, labels: Tensor1D): Tensor1D {
  return tf.tidy(() => tf.neg(byChunks(backend, x, weight, labels, PLAIN.product)));
}
