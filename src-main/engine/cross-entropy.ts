import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { composedChunkTokens } from './chunk-tokens.ts';
import { packedKernels } from './frozen.ts';
import { fusedKernels } from './fused-kernels.ts';
import { integerLossInPieces } from './integer-loss.ts';
import { inIntegers } from './integer-product.ts';
import type { FrozenMatrix } from './packed.ts';
import { tensorInPieces } from './product-in-pieces.ts';

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
  return fusedKernels()?.loss(x, weight, transposed, labels) ?? composedLoss(x, weight, transposed, labels, chunk);
}

/** With the head's two products in integers: docs/method.md, Integer products. */
function integerLoss(...[x, weight, transposed, labels]: Arguments): LossAndGradient {
  if (!(weight instanceof tf.Tensor)) return packedKernels()!.integerLoss(x, weight, labels);
  return tf.tidy(() => {
    const lines = transposed ? weight : tf.transpose(weight);
    return integerLossInPieces(x, tensorInPieces(lines), false, labels);
  });
}

/** The loss and its gradient to x, [chunk, vocabulary] logits at a time. */
function composedLoss(
  x: Tensor2D,
  weight: Tensor2D,
  transposed: boolean,
  labels: Tensor1D,
  chunk = composedChunkTokens(weight.shape[transposed ? 0 : 1]),
): LossAndGradient {
  const losses: tf.Scalar[] = [];
  const grads: Tensor2D[] = [];
  for (const { rows, own } of chunksOf(x, labels, chunk)) {
    const [loss, dx] = chunkLoss(rows(), weight, transposed, own());
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

function chunkLoss(x: Tensor2D, weight: Tensor2D, transposed: boolean, labels: Tensor1D): LossAndGradient {
  return tf.tidy(() => {
    const [loss, dLogits] = crossEntropy(tf.matMul(x, weight, false, transposed), labels);
    return [tf.sum(loss), tf.matMul(dLogits, weight, false, !transposed)] as LossAndGradient;
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
