import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fusedKernels } from './fused-kernels.ts';
import type { FrozenMatrix } from './packed.ts';

/**
 * Sum over the rows of -log softmax(x W)[label], rows with a negative label left out. x [tokens, width]; W [width, vocabulary],
 * or [vocabulary, width] where `transposed` (as packed ones always are); frozen. The gradient to x is made in the forward pass, `chunk` tokens at a time, so
 * that no more than [chunk, vocabulary] logits ever exist.
 */
export function linearCrossEntropy(
  x: Tensor2D,
  weight: FrozenMatrix,
  transposed: boolean,
  labels: Tensor1D,
  chunk = 512,
): tf.Scalar {
  return tf.customGrad((...args) => {
    const [input, save] = args as unknown as [Tensor2D, tf.GradSaveFunc];
    const kernels = fusedKernels();
    if (kernels || !(weight instanceof tf.Tensor)) {
      const [loss, dx] =
        weight instanceof tf.Tensor
          ? kernels!.loss(input, weight, transposed, labels)
          : kernels!.packed!.loss(input, weight, labels);
      save([dx]);
      return { value: loss, gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(saved[0]!, dy) };
    }
    const tokens = input.shape[0];
    const losses: tf.Scalar[] = [];
    const grads: Tensor2D[] = [];
    for (let start = 0; start < tokens; start += chunk) {
      const count = Math.min(chunk, tokens - start);
      const [loss, dx] = chunkLoss(
        tf.slice(input, [start, 0], [count, -1]),
        weight,
        transposed,
        tf.slice(labels, [start], [count]),
      );
      losses.push(loss);
      grads.push(dx);
    }
    save([grads.length === 1 ? grads[0]! : tf.concat(grads, 0)]);
    return {
      value: losses.length === 1 ? losses[0]! : (tf.addN(losses) as tf.Scalar),
      gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(saved[0]!, dy),
    };
  })(x) as tf.Scalar;
}

function chunkLoss(x: Tensor2D, weight: Tensor2D, transposed: boolean, labels: Tensor1D): [tf.Scalar, Tensor2D] {
  return tf.tidy(() => {
    const logits = tf.matMul(x, weight, false, transposed) as Tensor2D;
    const [loss, dLogits] = crossEntropy(logits, labels);
    return [tf.sum(loss), tf.matMul(dLogits, weight, false, !transposed)] as [tf.Scalar, Tensor2D];
  }) as unknown as [tf.Scalar, Tensor2D];
}

function crossEntropy(logits: Tensor2D, labels: Tensor1D): [Tensor1D, Tensor2D] {
  const mask = tf.cast(tf.greaterEqual(labels, 0), 'float32');
  const target = tf.oneHot(tf.cast(tf.maximum(labels, 0), 'int32'), logits.shape[1]) as Tensor2D;
  const logProbabilities = tf.logSoftmax(logits);
  const loss = tf.mul(tf.neg(tf.sum(tf.mul(logProbabilities, target), 1)), mask) as Tensor1D;
  const dLogits = tf.mul(tf.sub(tf.exp(logProbabilities), target), tf.expandDims(mask, 1)) as Tensor2D;
  return [loss, dLogits];
}
