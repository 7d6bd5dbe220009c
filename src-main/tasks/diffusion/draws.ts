import { randomStream } from '../../engine/random.ts';
import type { Place } from '../../models/diffusion/noise/draws.ts';
import type { BucketNumbers } from './preparation.ts';

/** What varies from one time that an example is seen to the next. */
export interface VaryOptions {
  /** where a bucket is cut from its picture */
  crop: 'center' | 'random';
  /** every other time mirrored, left to right */
  flip: boolean;
}

/** How a picture is seen, which its latents depend on. */
export interface Cut {
  /** of the bucket in the picture, pixels */
  left: number;
  top: number;
  flipped: boolean;
}

/** So many times a held-out example is seen, each in its part of all times, so that few examples tell of all. */
export const EVALUATED_TIMES = 4;

/** Places that a random crop is one of: so few that latents that were made once are met again. */
const PLACES = 4;

/** How an example is cut at its place in a training. */
export function drawCut(place: Place, picture: BucketNumbers, { crop, flip }: VaryOptions): Cut {
  const random = randomStream(place.seed, `cut.${place.name}`);
  // Both are drawn whatever is asked for, so that one option doesn't change the other.
  const [at, side] = [Math.floor(random() * PLACES) / (PLACES - 1), random()];
  const share = crop === 'random' ? at : 0.5;
  const from = (length: number, bucket: number) => Math.floor((length - bucket) * share);
  return {
    left: from(picture.width, picture.bucketWidth),
    top: from(picture.height, picture.bucketHeight),
    flipped: flip && side < 0.5,
  };
}

/** The middle, not mirrored: as evaluations see it. */
export const middleCut = (picture: BucketNumbers): Cut =>
  drawCut({ seed: 0, name: '' }, picture, { crop: 'center', flip: false });
