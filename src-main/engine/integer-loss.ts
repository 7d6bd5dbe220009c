import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { roundedAsQ8, roundedByBlock } from './integer-product.ts';
import { labelOf, logProbabilityOf, piecesOf, sumsOf, targetsOf, totalOf, wordsAtATime } from './loss-in-pieces.ts';
import type { InPieces } from './product-in-pieces.ts';

/**
 * Sum over the rows of -log softmax(x W^T)[label], rows with a negative label left out, and its gradient to x [tokens, width], both
 * products in integers (docs/method.md, Integer products), by operations in f32. The logits' gradient is rounded once softmax is known:
 * the words are gone through twice, some at a time.
 * @param isInBlocks whether W's numbers are those of quantized blocks already
 * @param words at a time, a multiple of 32, so that no piece cuts through a block
 */
export function integerLossInPieces(
  x: Tensor2D,
  head: InPieces,
  isInBlocks: boolean,
  labels: Tensor1D,
  words = wordsAtATime(x.shape[0], head.shape),
): [Scalar, Tensor2D] {
  return tf.tidy(() => {
    const { mask, targets } = targetsOf(labels);
    const rounded = roundedByBlock(x);
    const asFactor = (rows: Tensor2D) => (isInBlocks ? rows : roundedAsQ8(rows));
    const factors = { ...head, between: (from: number, to: number) => asFactor(head.between(from, to)) };
    const sums = sumsOf(rounded, factors, targets, false, words);
    const share = tf.div<Tensor2D>(mask, totalOf(sums));
    let dx: Tensor2D | undefined;
    for (const { from, to } of piecesOf(head, words)) {
      const before = dx;
      dx = tf.tidy(() => {
        const rows = head.between(from, to);
        const logits = tf.matMul(rounded, asFactor(rows), false, true);
        const isOwn = labelOf(targets, from, to);
        // The label's own is softmax - 1: less of it is lost as what the others have.
        const toWords = tf.mul(tf.exp(tf.sub(logits, sums.largest)), tf.sub(1, isOwn));
        const dLogits = tf.mul<Tensor2D>(share, tf.sub(toWords, tf.mul(sums.others, isOwn)));
        const piece = tf.matMul(roundedByBlock(dLogits), roundedAsQ8(tf.transpose(rows)), false, true) as Tensor2D;
        return before ? tf.add<Tensor2D>(before, piece) : piece;
      });
      before?.dispose();
    }
    return [tf.neg(tf.sum(tf.mul(mask, logProbabilityOf(sums)))), dx!] as [Scalar, Tensor2D];
  }) as unknown as [Scalar, Tensor2D];
}
