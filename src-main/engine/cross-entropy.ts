import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { packedKernels } from './frozen.ts';
import { fusedKernels } from './fused-kernels.ts';
import { inIntegers, roundedAsQ8, roundedByBlock } from './integer-product.ts';
import type { FrozenMatrix } from './packed.ts';

/** Logits that the compositions have at a time: 64 MiB of them, a few times. */
const MOST_LOGITS = 1 << 24;

/** Tokens whose logits the compositions have at a time, of a vocabulary of so many. */
export const composedChunkTokens = (vocabularySize: number): number =>
  Math.min(512, Math.max(16, Math.floor(MOST_LOGITS / vocabularySize)));

/** The two products with a head W [vocabulary, width]. */
interface Head {
  vocabulary: number;
  /** x W^T: x [tokens, width] */
  logits(x: Tensor2D): Tensor2D;
  /** dLogits W: dLogits [tokens, vocabulary] */
  back(dLogits: Tensor2D): Tensor2D;
}

/**
 * Sum over the rows of -log softmax(x W)[label], rows with a negative label left out. x [tokens, width]; W [width, vocabulary],
 * or [vocabulary, width] where `transposed` (as packed ones always are); frozen. The gradient to x is made in the forward pass, some
 * tokens at a time, so that few logits ever exist.
 */
export function linearCrossEntropy(
  x: Tensor2D,
  weight: FrozenMatrix,
  transposed: boolean,
  labels: Tensor1D,
  chunk?: number,
): tf.Scalar {
  return tf.customGrad((...args) => {
    const [input, save] = args as unknown as [Tensor2D, tf.GradSaveFunc];
    const [loss, dx] = (inIntegers() ? integerLoss : plainLoss)(input, weight, transposed, labels, chunk);
    save([dx]);
    return { value: loss, gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(saved[0]!, dy) };
  })(x) as tf.Scalar;
}

type LossAndGradient = [tf.Scalar, Tensor2D];
type Arguments = [x: Tensor2D, weight: FrozenMatrix, transposed: boolean, labels: Tensor1D, chunk?: number];

function plainLoss(...[x, weight, transposed, labels, chunk]: Arguments): LossAndGradient {
  if (!(weight instanceof tf.Tensor)) return packedKernels()!.loss(x, weight, labels);
  return (
    fusedKernels()?.loss(x, weight, transposed, labels) ?? composedLoss(x, plainHead(weight, transposed), labels, chunk)
  );
}

/** With the head's two products in integers: docs/method.md, Integer products. */
function integerLoss(...[x, weight, transposed, labels, chunk]: Arguments): LossAndGradient {
  const kernels = packedKernels();
  if (!(weight instanceof tf.Tensor) && kernels?.integerLoss) return kernels.integerLoss(x, weight, labels);
  return tf.tidy(() => {
    const isPlain = weight instanceof tf.Tensor;
    const lines = isPlain ? (transposed ? weight : tf.transpose(weight)) : kernels!.unpack(weight);
    return composedLoss(x, integerHead(lines, !isPlain && weight.isInBlocks), labels, chunk);
  });
}

/** A head W [width, vocabulary], or [vocabulary, width] where `transposed`, in f32. */
const plainHead = (weight: Tensor2D, transposed: boolean): Head => ({
  vocabulary: weight.shape[transposed ? 0 : 1],
  logits: (x) => tf.matMul(x, weight, false, transposed) as Tensor2D,
  back: (dLogits) => tf.matMul(dLogits, weight, false, !transposed) as Tensor2D,
});

/** What an engine's own products with a head [vocabulary, width] in integers give; rounded once for all tokens. */
function integerHead(weight: Tensor2D, isInBlocks: boolean): Head {
  const [lines, turned] = [isInBlocks ? weight : roundedAsQ8(weight), roundedAsQ8(tf.transpose(weight))];
  return {
    vocabulary: weight.shape[0],
    logits: (x) => tf.matMul(roundedByBlock(x), lines, false, true) as Tensor2D,
    back: (dLogits) => tf.matMul(roundedByBlock(dLogits), turned, false, true) as Tensor2D,
  };
}

/** The loss and its gradient to x, [chunk, vocabulary] logits at a time. */
function composedLoss(
  x: Tensor2D,
  head: Head,
  labels: Tensor1D,
  chunk = composedChunkTokens(head.vocabulary),
): LossAndGradient {
  const losses: tf.Scalar[] = [];
  const grads: Tensor2D[] = [];
  for (const { rows, own } of chunksOf(x, labels, chunk)) {
    const [loss, dx] = chunkLoss(rows(), head, own());
    losses.push(loss);
    grads.push(dx);
  }
  if (losses.length === 1) return [losses[0]!, grads[0]!];
  return [tf.addN(losses) as tf.Scalar, tf.concat(grads, 0)];
}

/** Some tokens after the others with their labels, each made when it is asked for. */
function chunksOf(x: Tensor2D, labels: Tensor1D, chunk: number) {
  const tokens = x.shape[0];
  return Array.from({ length: Math.ceil(tokens / chunk) }, (_, i) => {
    const count = Math.min(chunk, tokens - i * chunk);
    const isAll = count === tokens;
    return {
      rows: () => (isAll ? x : tf.slice(x, [i * chunk, 0], [count, -1])),
      own: () => (isAll ? labels : tf.slice(labels, [i * chunk], [count])),
    };
  });
}

function chunkLoss(x: Tensor2D, head: Head, labels: Tensor1D): LossAndGradient {
  return tf.tidy(() => {
    const [loss, dLogits] = crossEntropy(head.logits(x), labels);
    return [tf.sum(loss), head.back(dLogits)] as LossAndGradient;
  });
}

function crossEntropy(logits: Tensor2D, labels: Tensor1D): [Tensor1D, Tensor2D] {
  const mask = tf.cast(tf.greaterEqual(labels, 0), 'float32');
  const target = tf.oneHot(tf.cast(tf.maximum(labels, 0), 'int32'), logits.shape[1]) as Tensor2D;
  const logProbabilities = tf.logSoftmax(logits);
  const loss = tf.mul(tf.neg(tf.sum(tf.mul(logProbabilities, target), 1)), mask) as Tensor1D;
  const dLogits = tf.mul(tf.sub(tf.exp(logProbabilities), target), tf.expandDims(mask, 1)) as Tensor2D;
  return [loss, dLogits];
}
