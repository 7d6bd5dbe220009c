import { UserError } from '../../engine/types.ts';
import { resample } from '../../models/vision/pictures/resample.ts';
import type { Size } from '../../models/vision/preparation/sizes.ts';
import type { KeptPicture, PictureStore, Preparation } from '../picture-store.ts';
import { bucketsFor, coveringSize, nearestBucket, type BucketOptions } from './buckets.ts';

/** What is kept of a picture beside its pixels: its size as its bucket is cut from it, the bucket's, and its own. */
export interface BucketNumbers {
  width: number;
  height: number;
  bucketWidth: number;
  bucketHeight: number;
  ownWidth: number;
  ownHeight: number;
}

export type BucketPicture = KeptPicture<BucketNumbers>;
export type BucketStore = PictureStore<BucketNumbers>;

export interface PreparationOptions extends BucketOptions {
  /** smaller pictures are enlarged; false: they are left out by name */
  enlarge: boolean;
}

/** Of a picture at least this share is seen in its bucket. */
const LEAST_SEEN = 0.5;

/** Pictures at the size from which their bucket is cut, by Lanczos. */
export function bucketPreparation(options: PreparationOptions): Preparation<BucketNumbers> {
  const buckets = bucketsFor(options);
  return {
    options: { kind: 'buckets', ...options },
    numbers: ['width', 'height', 'bucketWidth', 'bucketHeight', 'ownWidth', 'ownHeight'],
    bytes: ({ width, height }) => width * height * 3,
    make(picture, name) {
      const bucket = nearestBucket(picture, buckets);
      const size = coveringSize(picture, bucket);
      check(picture, bucket, size, name, options.enlarge);
      const { rgb } = resample(picture, size, 'lanczos');
      const own = { ownWidth: picture.width, ownHeight: picture.height };
      return { ...size, bucketWidth: bucket.width, bucketHeight: bucket.height, ...own, rgb };
    },
  };
}

/** @throws UserError for a picture that would have to be enlarged, or lose more than half */
function check(picture: Size, bucket: Size, size: Size, name: string, enlarge: boolean): void {
  const own = `${name} has ${picture.width} x ${picture.height} pixels`;
  const asked = `${bucket.width} x ${bucket.height}`;
  if (size.width > picture.width && !enlarge)
    throw new UserError(
      `${own}, fewer than the ${asked} that it is learned at; give it larger, learn at a lower resolution, or let small pictures be enlarged`,
    );
  if ((bucket.width * bucket.height) / (size.width * size.height) < LEAST_SEEN)
    throw new UserError(`${own}, of which less than half would be seen at ${asked}; cut it to what matters`);
}
