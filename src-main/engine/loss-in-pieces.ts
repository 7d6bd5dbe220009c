import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { composedChunkTokens } from './chunk-tokens.ts';
import type { InPieces } from './product-in-pieces.ts';

/** Numbers of a head that are unpacked at a time: 64 MiB of them, a few times. */
const MOST_NUMBERS = 1 << 24;

/**
 * Words whose logits a loss has at a time: all tokens' of them are no more than the compositions have of some tokens. A power of two, so
 * that no size of a step looks like one that varies (varying-size.ts), and whole blocks of 32, by which products in integers round.
 */
export function wordsAtATime(tokens: number, [vocabulary, width]: [number, number]): number {
  const logits = Math.min(composedChunkTokens(vocabulary), tokens) * vocabulary;
  return 2 ** Math.floor(Math.log2(Math.max(32, Math.min(logits / tokens, MOST_NUMBERS / width))));
}

/** Of each token [tokens, 1], over the words so far. */
export interface Sums {
  largest: Tensor2D;
  /** the label's logit */
  own: Tensor2D;
  /** e^(logit - largest) of all words but the label */
  others: Tensor2D;
  /** the same times each word's row [tokens, width], where the gradient is asked for */
  weighted?: Tensor2D;
}

/**
 * Sum over the rows of -log softmax(x W^T)[label], rows with a negative label left out, and its gradient to x [tokens, width]. Some words
 * at a time, each unpacked once: what was added up is scaled where a larger logit comes (Milakov and Gimelshein, 2018, arXiv 1805.02867).
 * The label's own share is kept apart, as what is learned well is the difference of two shares that are almost one.
 */
export function lossInPieces(x: Tensor2D, head: InPieces, labels: Tensor1D, words?: number): [Scalar, Tensor2D] {
  return tf.tidy(() => {
    const { mask, targets } = targetsOf(labels);
    const sums = sumsOf(x, head, targets, true, words);
    const toOwn = tf.mul(sums.others, head.rows(targets));
    const dx = tf.mul(tf.div(mask, totalOf(sums)), tf.sub(sums.weighted!, toOwn));
    return [tf.neg(tf.sum(tf.mul(mask, logProbabilityOf(sums)))), dx] as [Scalar, Tensor2D];
  }) as unknown as [Scalar, Tensor2D];
}

/** log softmax(x W^T)[label], 0 where the label is negative; in pieces like the loss. */
export function logProbabilitiesInPieces(x: Tensor2D, head: InPieces, labels: Tensor1D, words?: number): Tensor1D {
  return tf.tidy(() => {
    const { mask, targets } = targetsOf(labels);
    return tf.reshape(tf.mul(mask, logProbabilityOf(sumsOf(x, head, targets, false, words))), [-1]) as Tensor1D;
  });
}

/** Which rows count [tokens, 1], and their labels [tokens]; 0 where the label is negative. */
export function targetsOf(labels: Tensor1D): { mask: Tensor2D; targets: Tensor1D } {
  const mask = tf.expandDims(tf.cast(tf.greaterEqual(labels, 0), 'float32'), 1) as Tensor2D;
  return { mask, targets: tf.cast(tf.maximum(labels, 0), 'int32') as Tensor1D };
}

/** e^(logit - largest) of all words, [tokens, 1] */
export const totalOf = ({ own, largest, others }: Sums): Tensor2D => tf.add(others, tf.exp(tf.sub(own, largest)));

/** log softmax of the label [tokens, 1] */
export const logProbabilityOf = (sums: Sums): Tensor2D => tf.sub(tf.sub(sums.own, sums.largest), tf.log(totalOf(sums)));

/** So many words of a head at a time. */
export const piecesOf = ({ shape }: InPieces, words: number): { from: number; to: number }[] =>
  Array.from({ length: Math.ceil(shape[0] / words) }, (_, i) => ({
    from: i * words,
    to: Math.min(shape[0], (i + 1) * words),
  }));

/** 1 where a word in [from, to) is the token's label, else 0: [tokens, words] */
export const labelOf = (targets: Tensor1D, from: number, to: number): Tensor2D =>
  tf.cast(tf.oneHot(tf.sub(targets, tf.scalar(from, 'int32')), to - from), 'float32') as Tensor2D;

/** What the words sum up to, so many of them at a time. */
export function sumsOf(
  x: Tensor2D,
  head: InPieces,
  targets: Tensor1D,
  withRows: boolean,
  words = wordsAtATime(x.shape[0], head.shape),
): Sums {
  let sums: Sums | undefined;
  for (const { from, to } of piecesOf(head, words)) {
    const before = sums;
    sums = tf.tidy(() => {
      const rows = head.between(from, to);
      const logits = tf.matMul(x, rows, false, true) as Tensor2D;
      const isOwn = labelOf(targets, from, to);
      const own = tf.sum(tf.mul(logits, isOwn), 1, true) as Tensor2D;
      const highest = tf.max(logits, 1, true) as Tensor2D;
      const largest = before ? tf.maximum<Tensor2D>(before.largest, highest) : highest;
      const powers = tf.mul(tf.exp(tf.sub(logits, largest)), tf.sub(1, isOwn)) as Tensor2D;
      const piece: Sums = { largest, own, others: tf.sum(powers, 1, true) as Tensor2D };
      if (withRows) piece.weighted = tf.matMul(powers, rows) as Tensor2D;
      return (before ? joined(before, piece) : piece) as unknown as tf.TensorContainer;
    }) as unknown as Sums;
    if (before) tf.dispose(before as unknown as tf.TensorContainer);
  }
  return sums!;
}

/** What was added up before, in the measure of the largest logit there is now, and a piece's. */
function joined(before: Sums, piece: Sums): Sums {
  const scale = tf.exp(tf.sub(before.largest, piece.largest));
  return {
    largest: piece.largest,
    own: tf.add(before.own, piece.own),
    others: tf.add(tf.mul(before.others, scale), piece.others),
    ...(piece.weighted && { weighted: tf.add<Tensor2D>(tf.mul(before.weighted!, scale), piece.weighted) }),
  };
}
