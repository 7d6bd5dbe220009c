import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { UserError } from '../../engine/types.ts';
import { siteName, siteTensor } from '../names.ts';
import type { SiteShape } from '../types.ts';
import type { Method } from './method.ts';
import { ZEROS } from './tensors.ts';

/** What d begins with where nothing else is said (PEFT's d_initial). */
export const D_INITIAL = 0.1;

/**
 * VeRA (arXiv 2310.11454; docs/method.md, VeRA): A and B are drawn once, shared by all sites and never trained; a site of fewer inputs
 * or outputs takes their first columns or rows. What learns is a number for each row of A, d, and one for each output, b.
 *
 * | `shared.A` [r, widest in] | `shared.B` [1, widest out, r] | `layers.<i>.<site>.lambda_d` [r] | `layers.<i>.<site>.lambda_b` [out] |
 */
export const vera: Method = {
  isRouted: false,
  headsIn: 'lambda_b',
  names: (shape) => ({
    A: 'shared.A',
    B: 'shared.B',
    lambda_d: siteTensor(shape, 'lambda_d'),
    lambda_b: siteTensor(shape, 'lambda_b'),
  }),
  parts(shape, { rank, vera: told }, sites) {
    if (shape.kind !== 'linear')
      throw new UserError(
        `The method vera adapts linears alone, and ${siteName(shape)} is a convolution: leave it out, or take lora.`,
      );
    const widest = (key: 'inFeatures' | 'outFeatures') => Math.max(...sites.map((site) => site[key]));
    const [width, out] = [widest('inFeatures'), widest('outFeatures')];
    // Kaiming's uniform start for both, as PEFT draws them.
    const drawn = (inputs: number) => ({ kind: 'uniform', bound: Math.sqrt(6 / inputs) }) as const;
    return [
      { role: 'A', shape: [rank, width], width, start: drawn(width), isFrozen: true },
      { role: 'B', shape: [1, out, rank], width: rank, start: drawn(rank), isFrozen: true },
      {
        role: 'lambda_d',
        shape: [rank],
        width: rank,
        start: { kind: 'constant', value: told?.dInitial ?? D_INITIAL },
      },
      { role: 'lambda_b', shape: [shape.outFeatures], width: shape.outFeatures, start: ZEROS },
    ];
  },
  makesPair: true,
  isFollowed: false,
  pair: ({ A, B, lambda_d: d, lambda_b: b }, { inFeatures, outFeatures }) => ({
    a: tf.mul<Tensor2D>(firstColumns(A, inFeatures), d),
    b: tf.mul<Tensor2D>(firstColumns(B, outFeatures), b),
  }),
};

/** In memory B's outputs are columns, too. */
const firstColumns = (matrix: Tensor2D, count: SiteShape['inFeatures']): Tensor2D =>
  matrix.shape[1] === count ? matrix : tf.slice(matrix, [0, 0], [-1, count]);
