import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';

/** What a prompt sees, on the host. */
export interface SeenPrompt {
  /** which feature each of its tokens is, -1 for text */
  places: Int32Array;
  /** [features, hidden] */
  features: Float32Array;
  /** as `TokenBatch` has them, of the prompt's tokens */
  reach?: Int32Array;
  axes?: Int32Array;
}

/** The rows of some of a prompt's tokens, zeros for text, and 1 where a token is seen; undefined where all of them are text. */
export function seenRows(
  { places, features }: SeenPrompt,
  from: number,
  count: number,
  hidden: number,
): { rows: Float32Array; isSeen: Float32Array } | undefined {
  const here = places.subarray(from, from + count);
  if (!here.some((place) => place >= 0)) return undefined;
  const [rows, isSeen] = [new Float32Array(count * hidden), new Float32Array(count)];
  here.forEach((place, i) => {
    if (place < 0) return;
    rows.set(features.subarray(place * hidden, (place + 1) * hidden), i * hidden);
    isSeen[i] = 1;
  });
  return { rows, isSeen };
}

/** Embeddings with what is seen in the place of those tokens. */
export const withRows = (x: Tensor2D, rows: Tensor2D, isSeen: Tensor2D): Tensor2D =>
  tf.add<Tensor2D>(tf.mul(x, tf.sub(1, isSeen)), rows);
