import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { siteTensor } from '../names.ts';
import type { Method } from './method.ts';
import { type Start, ZEROS } from './tensors.ts';

/** Deviation of A's and B's normal start, as PEFT has it. */
const DEVIATION = 0.02;

/**
 * AdaLoRA (arXiv 2303.10512; docs/method.md, AdaLoRA): B diag(lambda) A with a lambda for each row of A. What chooses which stay is
 * rank-allocator.ts, what holds A and B near orthogonal orthogonality.ts.
 *
 * | `layers.<i>.<site>.A` [r, in] | `layers.<i>.<site>.B` [1, out, r] | `layers.<i>.<site>.lambda` [r] |
 */
export const adalora: Method = {
  isRouted: false,
  headsIn: 'B',
  names: (shape) => ({
    A: siteTensor(shape, 'A'),
    B: siteTensor(shape, 'B'),
    lambda: siteTensor(shape, 'lambda'),
  }),
  parts({ inFeatures, outFeatures }, { rank }) {
    const normal: Start = { kind: 'normal', deviation: DEVIATION };
    return [
      { role: 'A', shape: [rank, inFeatures], width: inFeatures, start: normal },
      { role: 'B', shape: [1, outFeatures, rank], width: inFeatures, start: normal },
      { role: 'lambda', shape: [rank], width: rank, start: ZEROS },
    ];
  },
  makesPair: true,
  isFollowed: true,
  pair: ({ A, B, lambda }) => ({ a: tf.mul<Tensor2D>(A, lambda), b: B }),
};
